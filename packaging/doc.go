// Package packaging holds what is installed on devices: the Debian package with its systemd unit, and the script that builds it, tarballs for other
// systems and bills of materials. It has no code but tests.
package packaging
