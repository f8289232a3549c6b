package supervise

// Groups reports whether programs have control groups.
func (s *Supervisor) Groups() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups.dir != ""
}
