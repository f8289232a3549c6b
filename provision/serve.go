package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"iod/control"
)

// serve answers on the control socket. A device whose socket cannot be had runs without.
func (d *Device) serve(ctx context.Context) error {
	dir := d.manifest.Load().State
	ln, where, err := control.Listen(dir)
	if errors.Is(err, syscall.EADDRINUSE) && d.state.dir() == "" {
		return fmt.Errorf("%w: %s", ErrRunning, dir) // there is no lock to tell
	}
	if err != nil {
		d.log.Warn("status and reload cannot be asked for", "err", err)
		<-ctx.Done()
		return nil
	}
	d.log.Debug("control socket", "path", where)
	return control.Serve(ctx, ln, d.handlerOfControl())
}

// Answer is what the control socket says to a request for a reload.
type Answer struct {
	*Reload
	Error    string    `json:"error,omitempty"`
	File     string    `json:"file,omitempty"`
	Problems []Problem `json:"problems,omitempty"`
}

// handlerOfControl answers:
//
//	GET  /status   Status
//	POST /reload   Answer; status 422 when the manifest is refused
func (d *Device) handlerOfControl() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, d.Status()) })
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		got, err := d.Reload(context.WithoutCancel(r.Context())) // a reload is carried out even if nobody waits any more
		if err == nil {
			reply(w, http.StatusOK, Answer{Reload: got})
			return
		}
		a := Answer{Error: err.Error()}
		var mistakes *ManifestError
		if errors.As(err, &mistakes) {
			a.Error, a.File, a.Problems = ErrRefused.Error(), mistakes.File, mistakes.Problems
		}
		reply(w, http.StatusUnprocessableEntity, a)
	})
	return mux
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // who asked may have left
}
