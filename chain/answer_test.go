package chain

import (
	"encoding/json"
	"reflect"
	"testing"
)

var answerSeeds = []string{
	`[]`, `[{"block":"0x0101010101010101010101010101010101010101010101010101010101010101","changes":[]}]`,
	` [ { "changes" : [ [ "0x01" , null ] , ["0x02","0x"],["0x03","0xabCD"] ] , "block":"0x0101010101010101010101010101010101010101010101010101010101010101" } ] `,
	`[{"block":"0x0101010101010101010101010101010101010101010101010101010101010101","changes":[[null,"0x01"]]},{"block":"0x0201010101010101010101010101010101010101010101010101010101010101","changes":[["0x"]]}]`,
	`null`, `{}`, `[1]`, `[{"block":null}]`, `[{"block":"0x01"}]`, `[{"changes":[["0x0"]]}]`, `[{"changes":[["0xzz"]]}]`, `[{"changes":[["\u0030x01","0x01"]]}]`,
	`[{"changes":[["0x01","0x01","0x01"]]}]`, `[{"changes":null}]`, `[{"other":1}]`, `["0x01","0x"]`, `["0x01",null]`, `["01"]`, `[["0x01"]]`,
}

// FuzzAnswers: what the scanner takes, encoding/json takes as well and for the same.
func FuzzAnswers(f *testing.F) {
	for _, s := range answerSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) {
			return
		}
		var sets changeSets
		if err := sets.DecodeAnswer(b); err == nil {
			var want list[changeSet]
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			if len(want) != len(sets.sets) || len(want) > 0 && !reflect.DeepEqual(withLists(want), withLists(sets.sets)) {
				t.Fatalf("%s: %+v, want %+v", b, sets.sets, want)
			}
		}
		var l hexList
		if err := l.DecodeAnswer(b); err == nil {
			var want list[hexBytes]
			if err := json.Unmarshal(b, &want); err != nil || len(want) != len(l) {
				t.Fatalf("%s: %v, %d items", b, err, len(l))
			}
			for i := range l {
				if string(l[i]) != string(want[i]) {
					t.Fatalf("%s: item %d", b, i)
				}
			}
		}
	})
}

// withLists makes no list and an empty one alike.
func withLists(sets []changeSet) []changeSet {
	for i := range sets {
		if sets[i].Changes == nil {
			sets[i].Changes = list[[2]*hexBytes]{}
		}
	}
	return sets
}

func TestAnswerSeeds(t *testing.T) {
	taken := 0
	for _, s := range answerSeeds {
		var sets changeSets
		var l hexList
		if sets.DecodeAnswer([]byte(s)) == nil {
			taken++
		}
		if l.DecodeAnswer([]byte(s)) == nil {
			taken++
		}
	}
	if taken != 6 {
		t.Errorf("%d are taken", taken)
	}
}
