package overlay

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestSeldom: a thousand warnings are five lines, and the next one, after a minute, tells of the others.
func TestSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&b, nil))
		var s seldom
		for i := range 1000 {
			s.warn(log, "w", "i", i)
		}
		time.Sleep(time.Minute) // virtual
		s.warn(log, "w", "i", 1000)
		s.warn(log, "w", "i", 1001)
		var got []struct {
			I    int
			Left int `json:"left_out"`
		}
		for dec := json.NewDecoder(&b); dec.More(); {
			got = append(got, struct {
				I    int
				Left int `json:"left_out"`
			}{})
			if err := dec.Decode(&got[len(got)-1]); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != 6 || got[4].I != 4 || got[5].I != 1000 || got[5].Left != 995 || got[0].Left != 0 {
			t.Errorf("%+v", got)
		}
	})
}
