package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"iod/access"
	"iod/provision"
	"iod/spareport"
)

// stream is the one stream of the story's device.
const stream = "measurements"

// first runs a process and waits for the first JSON object that it prints with the wanted member.
func (s *story) first(ctx context.Context, p *process, member string) (string, error) {
	l, err := p.await(ctx, time.Time{}, func(l line) bool { return l.str(member) != "" })
	return l.str(member), err
}

func (s *story) startChain(ctx context.Context) error {
	p, err := s.start("chain", "chain", "dev", "-o", "json", "--listen", "127.0.0.1:0", "--dir", "chain",
		"--block-time", blockTime.String(), "--finality-lag", strconv.Itoa(finalityLag))
	if err != nil {
		return err
	}
	if s.rpc, err = s.first(ctx, p, "rpc"); err != nil {
		return err
	}
	if s.clock, err = newBlockClock(ctx, s.rpc); err != nil {
		return err
	}
	s.say("chain", "development chain with peaq's pallets at %s, a block a second, final one block later", s.rpc)
	return nil
}

func (s *story) startRelay(ctx context.Context) error {
	p, err := s.start("relay", "relay", "-o", "json", "--listen", "127.0.0.1:0", "--node-key", "relay.key")
	if err != nil {
		return err
	}
	if s.relay, err = s.first(ctx, p, "relay"); err != nil {
		return err
	}
	s.say("relay", "%s", s.relay)
	return nil
}

func (s *story) startIndex(ctx context.Context) error {
	p, err := s.start("index", "index", "-o", "json", "--rpc", s.rpc, "--listen", "127.0.0.1:0", "--database", "index.db")
	if err != nil {
		return err
	}
	if s.index, err = s.first(ctx, p, "api"); err != nil {
		return err
	}
	s.say("index", "every device of the chain in SQLite, searched at %s", s.index)
	return nil
}

// makeKeys makes three accounts, or takes those of an earlier story in the same directory, and funds the two that send
// transactions. The consumer needs no tokens.
func (s *story) makeKeys(ctx context.Context) error {
	for _, k := range []struct {
		name string
		id   *identity
	}{{"device", &s.device}, {"owner", &s.owner}, {"consumer", &s.consumer}} {
		k.id.file = k.name + ".key"
		command := []string{"key", "new", "-o", "json", "--out", k.id.file}
		if _, err := os.Lstat(filepath.Join(s.o.Dir, k.id.file)); err == nil {
			command = []string{"key", "show", "-o", "json", "--key", k.id.file}
		}
		r, err := s.run(ctx, command...)
		if err != nil {
			return err
		}
		var v struct{ Address, DID string }
		if err := json.Unmarshal(r.out, &v); err != nil {
			return fmt.Errorf("read the key %s: %w", k.id.file, err)
		}
		k.id.address, k.id.did = v.Address, v.DID
	}
	for _, id := range []identity{s.device, s.owner} {
		if _, err := s.run(ctx, "account", "faucet", id.address, "--rpc", s.rpc, "-o", "json"); err != nil {
			return err
		}
	}
	s.say("keys", "device %s, owner %s, consumer %s; device and owner funded", short(s.device.address), short(s.owner.address), short(s.consumer.address))
	return nil
}

// short is an address for people.
func short(address string) string {
	if len(address) < 12 {
		return address
	}
	return address[:6] + "…" + address[len(address)-4:]
}

// manifestText is the device's manifest; %q-quoted strings of Go are strings of TOML here.
const manifestText = `# the device of iod demo
rpc = [%q]
key = "device.key"
owner = %q
state = "device-state"

[device]
data_type = "weather"
location = "40.1949288,44.5517725"
price_pin = "445.12222"
[device.additional]
microcontroller = "stm32"

[overlay]
relays = [%q]

[[stream]]
name = %q
kind = "mqtt"
target = %q
topics = ["measurements/#"]
data_type = "wind_speed"
unit = "m/s"
price = "42.03995"
period = "30d"

[[program]]
name = "weather"
command = [%q, "demo", "weather", "--listen", %q, "--interval", "250ms"]
`

func (s *story) publish(ctx context.Context) error {
	port, err := spareport.Find()
	if err != nil {
		return err
	}
	broker := net.JoinHostPort("127.0.0.1", port)
	text := fmt.Sprintf(manifestText, s.rpc, s.owner.address, s.relay, stream, broker, s.o.Self, broker)
	if err := os.WriteFile(filepath.Join(s.o.Dir, "device.toml"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	begin := time.Now()
	p, err := s.start("device", "device", "run", "-c", "device.toml", "-o", "json")
	if err != nil {
		return err
	}
	s.provisioner = p
	l, err := p.await(ctx, begin, func(l line) bool {
		return l.str("msg") == provision.MsgPublished || l.str("msg") == provision.MsgUpToDate
	})
	if err != nil {
		return err
	}
	s.published = l.at
	if l.str("msg") == provision.MsgUpToDate {
		s.say("published", "%s is on the chain already, as it should be", s.device.did)
		return nil
	}
	s.say("published", "%s is on the chain, final %s after the device started", s.device.did, ms(l.at.Sub(begin)))
	return nil
}

// ms prints a duration as people read it. What two processes saw of one moment may come here in the wrong order by a
// fraction of a millisecond: that is 0 ms.
func ms(d time.Duration) string {
	d = max(d, 0)
	if d < 10*time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return d.Round(100 * time.Millisecond).String()
}

func (s *story) find(ctx context.Context) error {
	for {
		r, err := s.run(ctx, "devices", "list", "-o", "json", "--index", s.index, "--data-type", "wind_speed")
		if err != nil {
			return err
		}
		var v struct{ DID, Verdict string }
		if len(r.out) > 0 && json.Unmarshal(r.out, &v) == nil && v.DID == s.device.did {
			if v.Verdict != "verified" {
				return fmt.Errorf("the search finds the device, but its document is %s", v.Verdict)
			}
			s.say("found", "a search for wind_speed finds it, its signature verified, %s after the device had published it", ms(time.Since(s.published)))
			return nil
		}
		if err := s.clock.next(ctx); err != nil {
			return err
		}
	}
}

// forget takes back a grant that an earlier story in the same directory left.
func (s *story) forget(ctx context.Context) error {
	r, err := s.run(ctx, "access", "list", "--device", s.device.did, "--account", s.consumer.address, "--rpc", s.rpc, "-o", "json")
	if err != nil || len(r.out) == 0 {
		return err
	}
	_, err = s.run(ctx, "access", "revoke", "--device", s.device.did, s.consumer.address, "--key", s.owner.file, "--rpc", s.rpc, "-o", "json")
	if err == nil {
		s.say("", "an earlier story in this directory left a grant, which is revoked now")
	}
	return err
}

func (s *story) refused(ctx context.Context) error {
	if err := s.forget(ctx); err != nil {
		return err
	}
	r, err := s.run(ctx, "subscribe", s.device.did, stream, "--key", s.consumer.file, "--rpc", s.rpc, "-o", "json")
	if err == nil || r.code != 3 {
		return fmt.Errorf("a consumer without a grant was not refused with exit code 3 but: %d, %v", r.code, err)
	}
	begin := time.Now()
	s.reader, err = s.start("consumer", "subscribe", s.device.did, stream, "--wait", "--key", s.consumer.file, "--rpc", s.rpc, "-o", "json")
	if err != nil {
		return err
	}
	// It must be waiting before the grant, or the time measured below would be that of its start.
	if _, err = s.reader.await(ctx, begin, isWaiting); err != nil {
		return err
	}
	s.say("refused", "the chain holds no grant for the consumer: exit code 3 after %s; another one knocks at the device and waits", ms(r.took))
	return nil
}

func isWaiting(l line) bool { return l.str("msg") == "waiting" }

func (s *story) grant(ctx context.Context) error {
	begin := time.Now()
	r, err := s.run(ctx, "access", "grant", "--device", s.device.did, "--stream", stream, s.consumer.address,
		"--key", s.owner.file, "--rpc", s.rpc, "-o", "json")
	if err != nil {
		return err
	}
	number, err := blockOf(r)
	if err != nil {
		return err
	}
	if s.granted.best, err = s.clock.best(ctx, number); err != nil {
		return err
	}
	if s.granted.final, err = s.clock.finalised(ctx, number); err != nil {
		return err
	}
	s.say("granted", "by the owner in one transaction: in block %d, final %s after the command began", number, ms(s.granted.final.Sub(begin)))
	return nil
}

// blockOf reads the number of the block that holds a command's transaction.
func blockOf(r result) (uint32, error) {
	var v struct {
		Number uint32 `json:"number"`
	}
	if err := json.Unmarshal(r.out, &v); err != nil || v.Number == 0 {
		return 0, fmt.Errorf("the command names no block: %q", r.out)
	}
	return v.Number, nil
}

func isMessage(l line) bool { return l.str("topic") != "" }

func (s *story) receive(ctx context.Context) error {
	l, err := s.reader.await(ctx, time.Time{}, isMessage)
	if err != nil {
		return err
	}
	if l.at.Before(s.granted.best) {
		return fmt.Errorf("a message came %s before there was a grant", s.granted.best.Sub(l.at))
	}
	payload, err := json.Marshal(l.fields["payload"])
	if err != nil {
		return err
	}
	s.say("received", "first message %s after the grant was final: %s %s", ms(l.at.Sub(s.granted.final)), l.str("topic"), payload)
	return nil
}

func (s *story) killProgram(ctx context.Context) error {
	isStart := func(l line) bool { return l.str("msg") == provision.MsgProgramStarted }
	l, ok := s.provisioner.newest(isStart)
	if !ok {
		return errors.New("the device has not said that it started the program")
	}
	pid, ok := l.fields["pid"].(float64)
	if !ok || pid <= 1 {
		return errors.New("the device does not say which process the program is")
	}
	begin := time.Now()
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the program: %w", err)
	}
	back, err := s.provisioner.await(ctx, begin, isStart)
	if err != nil {
		return err
	}
	again, err := s.reader.await(ctx, back.at, isMessage)
	if err != nil {
		return err
	}
	s.say("recovered", "the weather program was killed: back after %s, messages again after %s", ms(back.at.Sub(begin)), ms(again.at.Sub(begin)))
	return nil
}

func (s *story) revoke(ctx context.Context) error {
	begin := time.Now()
	r, err := s.run(ctx, "access", "revoke", "--device", s.device.did, "--stream", stream, s.consumer.address,
		"--key", s.owner.file, "--rpc", s.rpc, "-o", "json")
	if err != nil {
		return err
	}
	number, err := blockOf(r)
	if err != nil {
		return err
	}
	best, err := s.clock.best(ctx, number)
	if err != nil {
		return err
	}
	cut, err := s.reader.await(ctx, begin, func(l line) bool { return l.str("msg") == "disconnected" })
	if err != nil {
		return err
	}
	if _, err := s.provisioner.await(ctx, begin, isRevocation); err != nil {
		return fmt.Errorf("the device does not say that it cut the session for the revocation: %w", err)
	}
	// The consumer goes back to waiting when it sees the revocation final; from the cut until then nothing may have come.
	if _, err := s.reader.await(ctx, cut.at, isWaiting); err != nil {
		return err
	}
	if late, ok := s.reader.newest(isMessage); ok && late.moment("received").After(cut.moment("time")) {
		return fmt.Errorf("a message came %s after the session was cut", late.moment("received").Sub(cut.moment("time")))
	}
	s.say("revoked", "in block %d; the session was cut %s after that block was out, and nothing came from then until it was final", number, ms(cut.at.Sub(best)))
	return nil
}

// isRevocation is the device's word that it ended a session because access was revoked.
func isRevocation(l line) bool {
	return l.str("msg") == provision.MsgSessionEnded && strings.Contains(l.str("reason"), access.ErrRevoked.Error())
}
