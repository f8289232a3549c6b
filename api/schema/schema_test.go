package schema

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	N *int `json:"n" doc:"A number." unit:"m" min:"-3"`
}

type node struct {
	inner
	Text  string            `json:"text" example:"hello" enum:"hello,bye"`
	When  time.Time         `json:"when"`
	Maybe *time.Time        `json:"maybe,omitempty"`
	Price json.Number       `json:"price"`
	List  []string          `json:"list,omitempty" pattern:"^a"`
	Map   map[string]*node  `json:"map,omitempty"`
	Any   any               `json:"any"`
	Raw   json.RawMessage   `json:"raw,omitempty"`
	Self  reflect.Kind      `json:"kind"`
	Skip  string            `json:"-"`
	Pair  [2]float64        `json:"pair"`
	Texts map[string]string `json:"texts"`
	Null  *node             `json:"null"`
}

func TestOf(t *testing.T) {
	s := &Set{Prefix: "#/$defs/", Closed: true, Docs: map[string]string{"node": "A node."}}
	if got, want := asJSON(t, s.Of(reflect.TypeFor[[]node]())), `{"items":{"$ref":"#/$defs/node"},"type":"array"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	want := `{"additionalProperties":false,"description":"A node.","properties":{` +
		`"any":{},"kind":{"minimum":0,"type":"integer"},"list":{"items":{"pattern":"^a","type":"string"},"type":"array"},` +
		`"map":{"additionalProperties":{"$ref":"#/$defs/node"},"type":"object"},"maybe":{"format":"date-time","type":"string"},` +
		`"n":{"description":"A number. Unit: m.","minimum":-3,"type":["integer","null"],"x-unit":"m"},` +
		`"null":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]},` +
		`"pair":{"items":{"type":"number"},"maxItems":2,"minItems":2,"type":"array"},"price":{"type":"number"},"raw":{},` +
		`"text":{"enum":["hello","bye"],"examples":["hello"],"type":"string"},` +
		`"texts":{"additionalProperties":{"type":"string"},"type":"object"},"when":{"format":"date-time","type":"string"}},` +
		`"required":["n","text","when","price","any","kind","pair","texts","null"],"type":"object"}`
	if got := asJSON(t, s.Defs["node"]); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestNoForm(t *testing.T) {
	defer func() {
		if p, ok := recover().(string); !ok || !strings.Contains(p, "chan int") {
			t.Errorf("a channel: %v", p)
		}
	}()
	new(Set).Of(reflect.TypeFor[chan int]())
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
