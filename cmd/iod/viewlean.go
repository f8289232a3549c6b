//go:build device

package main

import (
	"context"

	"github.com/spf13/cobra"

	"iod/document"
)

const viewingHelp, viewingExample = "", ""

// viewing is left out of the build for devices.
type viewing struct{ url string }

func (v *viewing) flags(*cobra.Command) {}

func (v *viewing) check() error { return nil }

func (v *viewing) open(*remote, document.Stream, *door) error { return nil }

func (v *viewing) close() {}

func (v *viewing) beside(ctx context.Context, f func(context.Context) error) error { return f(ctx) }

func (v *viewing) show(ctx context.Context, _ document.Device, _ bool, f func(context.Context) error) error {
	return f(ctx)
}
