package api

import (
	"encoding/json"
	"testing"

	"iod/interop"
)

// What nobody here wrote reads our documents: an OpenAPI validator, an RDF library, the Thing Description playground, the AsyncAPI
// parser, a JSON-LD processor. The page's examples are the API's answers.
func TestOthersReadUs(t *testing.T) {
	w := newWorld(t)
	fetch := func(path string) json.RawMessage {
		_, body := w.get(t, path)
		return json.RawMessage(body)
	}
	didOf := func(did string) json.RawMessage {
		_, body := w.get(t, "/1.0/identifiers/"+did, "Accept", "application/did+ld+json")
		return json.RawMessage(body)
	}
	both := func(what string) []json.RawMessage {
		return []json.RawMessage{fetch("/api/v1/devices/" + w.weather.DID() + what), fetch("/api/v1/devices/" + w.noise.DID() + what)}
	}
	t.Run("python", func(t *testing.T) {
		findings := interop.Python(t, encode(t, map[string]any{
			"openapi": fetch("/openapi.json"), "catalog": []json.RawMessage{fetch("/catalog"), fetch("/catalog?limit=1")},
		}), "documents.py")
		if len(findings) > 0 {
			t.Errorf("%s", findings)
		}
	})
	t.Run("node", func(t *testing.T) {
		findings := interop.NodeInput(t, encode(t, map[string]any{
			"td": both("/td"), "asyncapi": both("/asyncapi"),
			"did": []json.RawMessage{didOf(w.weather.DID()), didOf(w.noise.DID()), didOf(w.gone.DID()), didOf("did:peaq:" + hexOf(w.stranger[:]))},
		}), "dialects.mjs")
		if len(findings) > 0 {
			t.Errorf("%s", findings)
		}
	})
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
