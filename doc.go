// Package iod is the root of the Internet of Data: see README.md for what it does and ARCHITECTURE.md for how.
package iod
