package market

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"golang.org/x/crypto/blake2b"
	"google.golang.org/protobuf/encoding/protowire"

	"iod/document"
	"iod/key"
)

// offer is one thing that a kind of device shares.
type offer struct {
	name, kind, dataType, unit string
	contentType, about         string
	price                      float64 // the median, in PEAQ for a month
}

// model is a kind of device.
type model struct {
	dataType string
	weight   float64
	sea      bool // only at coasts and at sea
	offers   []offer
}

const (
	asJSON = "application/json"
	asH264 = "video/H264"
)

// models are what devices there are.
var models = []model{
	{"weather", 18, false, []offer{
		{"temperature", "mqtt", "temperature", "°C", asJSON, "air temperature two metres above ground", 3},
		{"wind", "mqtt", "wind_speed", "m/s", asJSON, "mean wind and gusts of ten minutes", 6},
		{"rain", "mqtt", "precipitation", "mm", asJSON, "rain of the last hour", 4}}},
	{"humidity", 7, false, []offer{{"humidity", "mqtt", "humidity", "%", asJSON, "relative humidity in the shade", 2}}},
	{"air_pressure", 4, false, []offer{{"pressure", "mqtt", "air_pressure", "hPa", asJSON, "pressure reduced to sea level", 2}}},
	{"air_quality", 14, false, []offer{
		{"pm25", "mqtt", "pm2_5", "µg/m³", asJSON, "fine dust by laser scattering", 8},
		{"pm10", "mqtt", "pm10", "µg/m³", asJSON, "coarse dust", 8},
		{"no2", "http", "nitrogen_dioxide", "ppb", asJSON, "electrochemical cell, calibrated yearly", 12}}},
	{"co2", 4, false, []offer{{"co2", "mqtt", "carbon_dioxide", "ppm", asJSON, "indoor air of a public building", 4}}},
	{"noise", 8, false, []offer{{"level", "mqtt", "noise", "dB(A)", asJSON, "level by the street, one minute mean", 5}}},
	{"radiation", 2, false, []offer{{"dose", "mqtt", "radiation", "µSv/h", asJSON, "gamma dose rate on a roof", 9}}},
	{"traffic", 9, false, []offer{
		{"count", "http", "traffic_volume", "1/h", asJSON, "vehicles an hour in both directions", 25},
		{"camera", "rtsp", "video", "", asH264, "crossing seen from a lamp post", 90}}},
	{"parking", 4, false, []offer{{"free", "http", "parking_spaces", "", asJSON, "free spaces of a car park", 10}}},
	{"video", 5, false, []offer{{"camera", "rtsp", "video", "", asH264, "view over roofs and sky", 60}}},
	{"sky", 1, false, []offer{{"allsky", "rtsp", "sky_image", "", asH264, "whole sky for meteors and clouds", 30}}},
	{"soil", 5, false, []offer{
		{"moisture", "mqtt", "soil_moisture", "%", asJSON, "in thirty centimetres of depth", 3},
		{"temperature", "mqtt", "soil_temperature", "°C", asJSON, "in thirty centimetres of depth", 3}}},
	{"solar", 6, false, []offer{
		{"irradiance", "mqtt", "solar_irradiance", "W/m²", asJSON, "global horizontal, pyranometer", 7},
		{"power", "mqtt", "power", "W", asJSON, "what the inverter feeds in", 5}}},
	{"electricity", 5, false, []offer{
		{"power", "mqtt", "power", "W", asJSON, "household meter by its optical port", 5},
		{"energy", "http", "energy", "kWh", asJSON, "meter readings by the quarter hour", 5}}},
	{"charging", 2, false, []offer{{"state", "http", "charging_point", "", asJSON, "whether the point is free and at what power", 9}}},
	{"water_level", 4, false, []offer{{"level", "mqtt", "water_level", "cm", asJSON, "gauge by radar, river", 10}}},
	{"tide", 3, true, []offer{{"level", "mqtt", "water_level", "cm", asJSON, "tide gauge in a harbour", 12}}},
	{"buoy", 2, true, []offer{
		{"waves", "mqtt", "wave_height", "m", asJSON, "significant wave height and period", 40},
		{"sea", "mqtt", "water_temperature", "°C", asJSON, "sea surface", 20},
		{"wind", "mqtt", "wind_speed", "m/s", asJSON, "wind at four metres", 25}}},
	{"ais", 2, true, []offer{{"ships", "tcp", "ship_positions", "", "text/plain", "NMEA sentences of ships in reach", 45}}},
	{"adsb", 3, false, []offer{{"aircraft", "tcp", "aircraft_positions", "", "application/octet-stream", "Beast frames of aircraft in reach", 35}}},
	{"lightning", 1, false, []offer{{"strokes", "udp", "lightning", "", "application/octet-stream", "times of arrival of sferics", 15}}},
	{"seismic", 2, false, []offer{{"waveform", "tcp", "ground_velocity", "nm/s", "application/octet-stream", "three components, miniSEED", 28}}},
	{"gnss", 1, false, []offer{{"corrections", "tcp", "gnss_corrections", "", "application/octet-stream", "RTCM 3 of a reference station", 110}}},
	{"pollen", 1, false, []offer{{"count", "http", "pollen", "1/m³", asJSON, "grains by kind, two hours mean", 18}}},
}

// anywhere and ashore are the sums of the models' weights, with and without those of the sea.
var anywhere, ashore = func() (all, land float64) {
	for _, m := range models {
		if all += m.weight; !m.sea {
			land += m.weight
		}
	}
	return all, land
}()

func pick(r *rand.Rand, coast bool) *model {
	x := r.Float64() * ashore
	if coast {
		x = r.Float64() * anywhere
	}
	for i := range models {
		if m := &models[i]; coast || !m.sea {
			if x -= m.weight; x < 0 {
				return m
			}
		}
	}
	return &models[0]
}

// amount is a price around a median, as people choose them: log-normal, two significant digits, no less than 0.01.
func amount(r *rand.Rand, median float64) string {
	p := math.Max(median*math.Exp(r.NormFloat64()*0.8), 0.01)
	size := int(math.Floor(math.Log10(p)))
	if size <= 0 {
		return strconv.FormatFloat(p, 'f', min(1-size, 2), 64)
	}
	grain := math.Pow10(size - 1)
	return strconv.FormatFloat(math.Round(p/grain)*grain, 'f', 0, 64)
}

var (
	spots  = []string{"on a roof", "in a garden", "beside a road", "at a school", "on a mast", "at a farm", "in a park", "by the water", "at a station"}
	boards = []string{"esp32", "stm32", "raspberry-pi-4", "raspberry-pi-zero-2", "nrf52840", "beaglebone", "opi-zero3"}
	relays = []string{"relay-eu.example:7777", "relay-us.example:7777", "relay-asia.example:7777"}
)

// document makes the document that a device publishes at a time, for the first time or again.
func (m *Market) document(device, before int, at time.Time) (key.AccountID, []byte, error) {
	p, err := m.pair("device", device)
	if err != nil {
		return key.AccountID{}, nil, err
	}
	r := m.random("device", device) // what a device is stays when it publishes again
	place := somewhere(r)
	d := document.Device{Account: p.Account(), Location: place.location(r), Sequence: uint64(at.UnixMilli())}
	kind := pick(r, place.coast)
	d.DataType = kind.dataType
	if r.IntN(12) == 0 {
		return p.Account(), unsigned(r, d, kind), nil
	}
	d.Node = key.NodeKeyFromSeed(blake2b.Sum256([]byte(d.Account.DID()))).ID()
	d.Relays = []string{"tls://" + relays[r.IntN(len(relays))] + "/" + d.Node.String()}
	if r.IntN(5) > 0 {
		owner, err := m.owner(r)
		if err != nil {
			return d.Account, nil, err
		}
		id := owner.Account()
		d.Owner = &id
		if d.Vouch, err = document.SignVouch(owner, d.Account); err != nil {
			return d.Account, nil, err
		}
	}
	today := r
	if before > 0 {
		today = m.random("prices", before)
	}
	d.Streams = kind.streams(r, today)
	d.Additional = []document.Additional{document.NewAdditional("microcontroller", boards[r.IntN(len(boards))])}
	raw, err := d.Sign(p)
	return d.Account, raw, err
}

// streams are what a device of the model shares: at least the first of its offers, now and then for nothing.
func (k *model) streams(r, today *rand.Rand) []document.Stream {
	var all []document.Stream
	spot := spots[r.IntN(len(spots))]
	for i, o := range k.offers {
		if i > 0 && r.IntN(3) == 0 {
			continue
		}
		s := document.Stream{Name: o.name, Kind: o.kind, DataType: o.dataType, Unit: o.unit, ContentType: o.contentType,
			Description: o.about + ", " + spot, Period: []string{"30d", "30d", "7d", "1d"}[r.IntN(4)]}
		if o.kind == "mqtt" {
			s.Topics = []string{k.dataType + "/" + o.name + "/#"}
		}
		if s.Price = amount(today, o.price); today.IntN(25) == 0 {
			s.Price = ""
		}
		all = append(all, s)
	}
	return all
}

// unsigned is a document of version 1, as the existing marketplace writes it.
func unsigned(r *rand.Rand, d document.Device, k *model) []byte {
	did := d.Account.DID()
	field := func(b []byte, n protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
	}
	b := field(field(nil, 1, did), 2, did)
	for _, s := range [][2]string{
		{"staex_iod_version", "v1"}, {"data_type", k.offers[0].dataType}, {"location", d.Location},
		{"price_access", amount(r, k.offers[0].price)}, {"price_pin", amount(r, k.offers[0].price/10)},
		{"mqtt_topic", fmt.Sprintf("%s/#", k.dataType)}, {"microcontroller", strconv.Quote(boards[r.IntN(len(boards))])},
	} {
		service := field(field(field(nil, 1, did+"#"+s[0]), 2, s[0]), 4, s[1])
		b = protowire.AppendBytes(protowire.AppendTag(b, 5, protowire.BytesType), service)
	}
	return b
}
