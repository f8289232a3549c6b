package access

import (
	"context"

	"golang.org/x/sync/errgroup"

	"iod/key"
)

// Judges ask several judges, one for each scope (see Scopes): what any of them grants is granted. A pass is the one's that said yes first; when
// that withdraws it, another's yes serves the next request.
type Judges []*Judge

// NewJudges returns a judge for each scope, alike but for JudgeOptions.Device.
func NewJudges(o JudgeOptions, scopes []key.AccountID) Judges {
	js := make(Judges, len(scopes))
	for i, scope := range scopes {
		o.Device = scope
		js[i] = NewJudge(o)
	}
	return js
}

// Run runs all judges until ctx ends.
func (js Judges) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, j := range js {
		g.Go(func() error { return j.Run(ctx) })
	}
	return g.Wait()
}

// Admit is Judge.Admit for the first judge that says yes. It fails when ctx ends, or when every judge has refused to wait.
func (js Judges) Admit(ctx context.Context, account key.AccountID, stream string) (*Pass, error) {
	if len(js) == 1 {
		return js[0].Admit(ctx, account, stream)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		pass *Pass
		err  error
	}
	answers := make(chan answer, len(js))
	refused := unanimous(len(js), js[0].tell)
	for _, j := range js {
		go func() { // ends with ctx at the latest, and is waited for below
			p, err := j.admit(ctx, account, stream, refused)
			answers <- answer{p, err}
		}()
	}
	var first answer
	for range js {
		a := <-answers
		switch {
		case a.pass != nil && first.pass == nil:
			first = a
			cancel()
		case a.pass != nil: // came at the same moment
			a.pass.Release()
		case first.pass == nil && first.err == nil:
			first = a
		}
	}
	if first.pass != nil {
		return first.pass, nil
	}
	return nil, first.err
}
