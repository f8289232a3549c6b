package key

// Load reads a pair from a key file (see Save) or, when source is not the name of a file, from a secret URI.
// passphrase is asked only for an encrypted file. A file that others may read is refused.
func Load(source string, s Scheme, passphrase func() (string, error)) (*Pair, error) {
	return FromURI(s, source)
}
