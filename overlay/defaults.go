package overlay

import "time"

const (
	defaultKeepAliveMin = 90 * time.Second
	defaultKeepAliveMax = 10 * time.Minute
)
