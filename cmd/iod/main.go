// Command iod publishes devices on the peaq network, shares their streams with the accounts that their owners chose, and
// finds, joins and receives the streams of others. Each subcommand has a file of its own here; the work is done in the
// packages beside it.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(Main()) }

// Main runs iod with the arguments and streams of the process and returns its exit code. An interrupt or SIGTERM ends the
// context once; a second one kills the process the usual way.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// run is Main without the process around it.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut, env: os.Getenv}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	return a.report(ctx, cmd, err)
}
