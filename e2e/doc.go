// Package e2e holds tests only: the iod binary, run as real processes on hosts of their own, which are network namespaces
// joined by a router that says who may reach whom.
//
//	            chain  10.77.1.2      relay1 10.77.2.2      relay2 10.77.3.2      index 10.77.8.2
//	               \________________________|____________________|___________________/
//	                                     router (".1" of each net)
//	               /                  |                    |                         \
//	device 10.77.5.2         consumer 10.77.6.2       own 10.77.4.2            owner 10.77.7.2
//
// Packets from and to the device pass to and from chain, relay1 and relay2 only; the router drops all others without a word,
// so that the device is as good as behind a NAT and has no way to the consumer. "own" is a relay of the consumer's own.
// Sniffers on the cables of device and consumer see every packet. Without the right to make namespaces the tests are skipped
// and say so.
package e2e
