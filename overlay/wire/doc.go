// Package wire holds the byte formats of the overlay: the frames between a node and a relay, the preamble of a data
// connection, and the sealed knock. All numbers are big-endian. Every parser is bounded and strict: what parses encodes
// to the same bytes again, and nothing may trail.
//
// # One port
//
// The first byte that a relay reads tells what a connection is: 0x16 begins a TLS hello and so a control connection,
// 'i' begins the preamble of a data connection. Anything else is closed unanswered.
//
// # Control connection
//
// TLS 1.3, ALPN "iod-relay/1", both sides with self-signed ed25519 certificates: the key is the node id. Inside run frames:
//
//	┌──────┬───────────┬────────────────────┐
//	│ type │ length 16 │ body, ≤ 2048 bytes │
//	└──────┴───────────┴────────────────────┘
//
//	01 REGISTER    device → relay      version 8 │ idle 16
//	02 REGISTERED  relay → device      version 8
//	03 CONNECT     consumer → relay    id 32 │ target 256 │ hops 8 │ hops × (relay id 256 │ length 8 │ host:port) │ knock
//	04 TOKEN       relay → consumer    id 32 │ life 16 │ token 256
//	05 INVITE      relay → device      session 64 │ life 16 │ source 64 │ token 256 │ knock
//	06 CANCEL      both                session 64: a consumer gives a knock up, a device cuts a session
//	07 PROBE       both                session 64 │ seq 32
//	08 PROBED      both                session 64 │ seq 32 │ alive 8 │ waits 8 │ in 64 │ out 64
//	09 PING        node → relay        seq 32 │ idle 16
//	0a PONG        relay → node        seq 32
//	0b GOODBYE     relay → node        reason 8 │ text
//
// idle is the number of seconds within which the sender promises to be heard again; life the number of seconds for which
// a token may be used; source a tag that hides a consumer's address and is the same for the same address. On a
// consumer's connection session is the id of its CONNECT, which it never uses twice. A frame of an unknown type below 80 ends
// the connection; from 80 on it is skipped, so that later versions can add what may be ignored. A frame whose body does
// not parse ends the connection.
//
// # Data connection
//
//	┌─────┬─────┬─────┬────┬───────────┐
//	│ 'i' │ 'o' │ 'd' │ 01 │ token 256 │  and then end-to-end TLS 1.3, ALPN "iod-session/1"
//	└─────┴─────┴─────┴────┴───────────┘
//
// The device is the TLS server. The consumer's first byte inside tells the mode: 01, the rest is the stream; 02, the rest is
// a multiplexed session (package overlay draws its frames).
//
// # Knock
//
// HPKE (RFC 9180) in base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, info "iod/knock/1", no
// additional data, sealed to the X25519 form of the device's node key. All knocks have one size, so that a relay
// learns neither scheme nor stream from it:
//
//	enc 32 bytes │ ciphertext 384 bytes │ tag 16 bytes
//
// The plaintext, padded with zeros to 384 bytes:
//
//	version 8 = 1 │ scheme 8 │ account's public key, 32 or 33 bytes │ consumer node 256 │ device node 256 │ relay 256 │
//	time 64 (Unix ms) │ nonce 128 │ length 8 │ stream │ signature, 64 or 65 bytes │ 00 …
//
// The signature is by the account, over "iod/knock/1" ‖ 00 ‖ everything before the signature. relay is the one that the device
// hears the knock from.
package wire
