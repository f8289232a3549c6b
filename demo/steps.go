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
	"syscall"
	"time"

	"iod/provision"
)

// stream is the one stream of the story's device.
const stream = "measurements"

// first runs a process and waits for the first JSON object that it prints with the wanted member.
func (s *story) first(ctx context.Context, p *process, member string) (string, error) {
	l, err := p.await(ctx, time.Time{}, func(l line) bool { return l.str(member) != "" })
	return l.str(member), err
}

func (s *story) startChain(ctx context.Context) (err error) {
	s.chain, err = s.start("chain", nil, "chain", "dev", "-o", "json", "--listen", "127.0.0.1:0", "--dir", "chain",
		"--block-time", blockTime.String(), "--finality-lag", strconv.Itoa(finalityLag))
	if err != nil {
		return err
	}
	if s.rpc, err = s.first(ctx, s.chain, "rpc"); err != nil {
		return err
	}
	if s.clock, err = newBlockClock(ctx, s.rpc); err != nil {
		return err
	}
	s.say("chain", "development chain with peaq's pallets at %s, a block a second, final one block later", s.rpc)
	return nil
}

func (s *story) startRelay(ctx context.Context) error {
	p, err := s.start("relay", nil, "relay", "-o", "json", "--listen", "127.0.0.1:0", "--node-key", "relay.key")
	if err != nil {
		return err
	}
	s.node = p
	if s.relay, err = s.first(ctx, p, "relay"); err != nil {
		return err
	}
	s.say("relay", "%s", s.relay)
	return nil
}

func (s *story) startIndex(ctx context.Context) error {
	p, err := s.start("index", nil, "index", "-o", "json", "--rpc", s.rpc, "--listen", "127.0.0.1:0", "--database", "index.db")
	if err != nil {
		return err
	}
	if s.index, err = s.first(ctx, p, "api"); err != nil {
		return err
	}
	s.say("index", "every device of the chain in SQLite, searched at %s", s.index)
	return nil
}

// makeKeys makes three accounts and funds the two that send transactions. The consumer needs no tokens.
func (s *story) makeKeys(ctx context.Context) error {
	for name, id := range map[string]*identity{"device": &s.device, "owner": &s.owner, "consumer": &s.consumer} {
		id.file = name + ".key"
		r, err := s.run(ctx, nil, "key", "new", "-o", "json", "--out", id.file)
		if err != nil {
			return err
		}
		var v struct{ Address, DID string }
		if err := json.Unmarshal(r.out, &v); err != nil {
			return fmt.Errorf("read the new key: %w", err)
		}
		id.address, id.did = v.Address, v.DID
	}
	for _, id := range []identity{s.device, s.owner} {
		if _, err := s.run(ctx, nil, "account", "faucet", id.address, "--rpc", s.rpc, "-o", "json"); err != nil {
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
	broker, err := freePort()
	if err != nil {
		return err
	}
	text := fmt.Sprintf(manifestText, s.rpc, s.owner.address, s.relay, stream, broker, s.o.Self, broker)
	if err := os.WriteFile(filepath.Join(s.o.Dir, "device.toml"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	begin := time.Now()
	p, err := s.start("device", nil, "device", "run", "-c", "device.toml", "-o", "json")
	if err != nil {
		return err
	}
	s.provisioner = p
	if _, err := p.await(ctx, begin, func(l line) bool { return l.str("msg") == provision.MsgPublished }); err != nil {
		return err
	}
	s.say("published", "%s is on the chain, finalised %s after the device started", s.device.did, ms(time.Since(begin)))
	return nil
}

// freePort finds a port of loopback that nobody listens on now.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// ms prints a duration as people read it.
func ms(d time.Duration) string {
	if d < 10*time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return d.Round(100 * time.Millisecond).String()
}

func (s *story) find(ctx context.Context) error {
	begin := time.Now()
	for {
		r, err := s.run(ctx, nil, "devices", "list", "-o", "json", "--index", s.index, "--data-type", "wind_speed")
		if err != nil {
			return err
		}
		var v struct{ DID, Verdict string }
		if len(r.out) > 0 && json.Unmarshal(r.out, &v) == nil && v.DID == s.device.did {
			s.say("found", "a search for wind_speed finds it, %s (%s after it was published)", v.Verdict, ms(time.Since(begin)))
			return nil
		}
		if err := s.clock.next(ctx); err != nil {
			return err
		}
	}
}

func (s *story) refused(ctx context.Context) error {
	r, err := s.run(ctx, nil, "subscribe", s.device.did, stream, "--key", s.consumer.file, "--rpc", s.rpc, "-o", "json")
	if err == nil || r.code != 3 {
		return fmt.Errorf("a consumer without a grant was not refused with exit code 3 but: %d, %v", r.code, err)
	}
	s.say("refused", "the consumer has no grant: exit code 3 after %s; from now on it waits for one", ms(r.took))
	begin := time.Now()
	s.reader, err = s.start("consumer", nil, "subscribe", s.device.did, stream, "--wait", "--key", s.consumer.file, "--rpc", s.rpc, "-o", "json")
	if err != nil {
		return err
	}
	// It must be knocking before the grant, or the time measured below would be that of its start.
	_, err = s.reader.await(ctx, begin, func(l line) bool { return l.str("msg") == "waiting" })
	return err
}

func (s *story) grant(ctx context.Context) error {
	begin := time.Now()
	r, err := s.run(ctx, nil, "access", "grant", "--device", s.device.did, "--stream", stream, s.consumer.address,
		"--key", s.owner.file, "--rpc", s.rpc, "-o", "json")
	if err != nil {
		return err
	}
	number, err := blockOf(r)
	if err != nil {
		return err
	}
	if s.granted, err = s.clock.finalised(ctx, number); err != nil {
		return err
	}
	s.say("granted", "by the owner in one transaction: in block %d, final %s after the command", number, ms(s.granted.Sub(begin)))
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
	payload, err := json.Marshal(l.fields["payload"])
	if err != nil {
		return err
	}
	s.say("received", "first message %s after the grant was final: %s %s", ms(l.at.Sub(s.granted)), l.str("topic"), payload)
	return nil
}

func (s *story) killProgram(ctx context.Context) error {
	l, err := s.provisioner.await(ctx, time.Time{}, func(l line) bool { return l.str("msg") == provision.MsgProgramStarted })
	if err != nil {
		return err
	}
	pid, ok := l.fields["pid"].(float64)
	if !ok || pid <= 1 {
		return errors.New("the device does not say which process the program is")
	}
	begin := time.Now()
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the program: %w", err)
	}
	back, err := s.provisioner.await(ctx, begin, func(l line) bool { return l.str("msg") == provision.MsgProgramStarted })
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
	r, err := s.run(ctx, nil, "access", "revoke", "--device", s.device.did, "--stream", stream, s.consumer.address,
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
	s.say("revoked", "in block %d; the session was cut %s after the device could see that block", number, ms(cut.at.Sub(best)))
	return nil
}
