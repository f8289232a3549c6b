//go:build !device

package main

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"iod/api"
)

// beyondDevices are the commands that the build for devices (tag device) leaves out, with the chain, the broker and
// the database that they carry.
func (a *app) beyondDevices() []*cobra.Command {
	return []*cobra.Command{a.demoCommand(), a.indexCommand(), a.devicesCommand(), a.fleetCommand(), a.benchCommand()}
}

// knownOfIndex is known for what an index answers.
func knownOfIndex(err error) (code int, next string) {
	var problem *api.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound:
		return exitFailed, "the index knows no such device; look on the chain itself with: iod did show DID"
	case errors.As(err, &problem) && (problem.Status == http.StatusBadRequest || problem.Status == http.StatusUnprocessableEntity):
		return exitUsage, "mend the search; see: iod devices list --help"
	}
	return 0, ""
}
