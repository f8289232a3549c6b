//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"

	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/pallet/did"
)

// echo answers what it is told, on every connection.
func echo(ctx context.Context, address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { ln.Close() })
	for {
		c, err := ln.Accept()
		if err != nil {
			return nil
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// mute accepts connections and never answers.
func mute(ctx context.Context, address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("{\"listen\":%q}\n", ln.Addr())
	<-ctx.Done() // the kernel accepts
	return ln.Close()
}

// liar is an endpoint of a chain that answers every question at once, in the right form, with nonsense.
func liar(ctx context.Context, address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := http.Server{Handler: http.HandlerFunc(lie), ReadHeaderTimeout: time.Second}
	context.AfterFunc(ctx, func() { s.Close() })
	fmt.Printf("{\"listen\":%q}\n", ln.Addr())
	if err := s.Serve(ln); ctx.Err() == nil {
		return err
	}
	return nil
}

func lie(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		b, _ := io.ReadAll(r.Body)
		w.Write(lies(b))
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		_, b, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), websocket.MessageText, lies(b)) != nil {
			return
		}
	}
}

// lies answers one question or a batch.
func lies(question []byte) []byte {
	var batch []struct{ ID json.RawMessage }
	one := json.Unmarshal(question, &batch) != nil
	if one {
		question = bytes.Join([][]byte{[]byte("["), question, []byte("]")}, nil)
		_ = json.Unmarshal(question, &batch)
	}
	var answers [][]byte
	for _, q := range batch {
		answers = append(answers, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":"0x6d657461ff"}`, q.ID))
	}
	if one && len(answers) == 1 {
		return answers[0]
	}
	return fmt.Appendf(nil, "[%s]", bytes.Join(answers, []byte(",")))
}

// What the forger makes of the price.
const (
	truePrice  = "445.12222"
	falsePrice = "000.00001"
)

// forger is a stranger with funds: it overwrites a device's document with one that names another price, and prints the number
// of the block with it.
func forger(ctx context.Context, endpoint, device string) error {
	account, err := key.ParseAccount(device)
	if err != nil {
		return err
	}
	stranger, err := key.FromURI(key.Sr25519, "//Bob")
	if err != nil {
		return err
	}
	c, err := chain.Dial(ctx, chain.Options{Endpoints: []string{endpoint}})
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := c.Best(ctx)
	if err != nil {
		return err
	}
	attr, err := did.Read(ctx, b, account, document.DeviceAttribute)
	if err != nil {
		return err
	}
	if attr == nil || !bytes.Contains(attr.Value, []byte(truePrice)) {
		return fmt.Errorf("there is no document of %s with the price %s to forge", device, truePrice)
	}
	forged := bytes.ReplaceAll(attr.Value, []byte(truePrice), []byte(falsePrice))
	tx, err := c.Submit(ctx, stranger, chain.BatchAll(
		did.AddAttribute(account, fmt.Sprint("foot in the door ", time.Now().UnixNano()), []byte("x"), nil),
		did.UpdateAttribute(account, document.DeviceAttribute, forged, nil)), chain.TxOptions{})
	if err != nil {
		return err
	}
	out, err := tx.InBest(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]uint32{"number": out.Number})
}
