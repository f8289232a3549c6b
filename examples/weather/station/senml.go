package station

import (
	"encoding/json"
	"time"
)

// Record is a SenML record (RFC 8428), of which the station uses the base name, the base time and one value.
type Record struct {
	BaseName string  `json:"bn"`
	BaseTime float64 `json:"bt"` // Unix seconds
	Name     string  `json:"n"`
	Unit     string  `json:"u"`
	Value    float64 `json:"v"`
}

// pack returns the SenML pack of one value. Base name and name together are a device URN of RFC 9039 with the name as its
// component; the enterprise number is the one for examples (RFC 5612).
func pack(station string, t time.Time, name, unit string, value float64) ([]byte, error) {
	return json.Marshal([]Record{{
		BaseName: "urn:dev:org:32473-" + station + "_",
		BaseTime: float64(t.UnixMilli()) / 1000,
		Name:     name,
		Unit:     unit,
		Value:    value,
	}})
}
