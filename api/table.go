package api

import (
	"reflect"

	"iod/api/dialect"
)

// The groups of routes, in the order in which people read of them.
var tags = []struct{ Name, Doc string }{
	{"devices", "Search devices, and look at one."},
	{"dialects", "Devices in the languages of others: DID documents, Thing Descriptions, AsyncAPI, DCAT."},
	{"index", "How far the index is, and what it does not believe."},
	{"service", "For those who run it."},
	{"marketplace", "As the existing marketplace's indexer answers."},
}

// mapCache lets browsers go back and forth on a map for a moment.
const mapCache = "max-age=5"

var didFields = []field{paramDID}

// table lists the routes.
func (s *server) table() []*route {
	return append(s.deviceRoutes(), s.otherRoutes()...)
}

func (s *server) deviceRoutes() []*route {
	return []*route{
		{Path: "/api/v1/devices", ID: "searchDevices", Tag: "devices", Title: "Search devices",
			Doc: "All parameters must hold; those of streams (data_type, kind, unit, min_price, max_price) of one and the same stream of the device. " +
				"Pages are walked by next and after: what is updated meanwhile is neither skipped nor told twice, in the order newest.",
			Fields: searchFields, Answers: jsonAnswer[Page]("A page of live devices."), Errors: []int{422}, Fresh: byIndex, Costly: true, Serve: (*server).devices},
		{Path: "/api/v1/devices/{did}", ID: "getDevice", Tag: "devices", Title: "One device",
			Doc:    "With its document and the newest lines of its history; also when it was removed or has expired.",
			Fields: didFields, Answers: jsonAnswer[Detail]("The device."), Errors: []int{404}, Fresh: byIndex, Serve: (*server).device},
		{Path: "/api/v1/devices/{did}/history", ID: "getHistory", Tag: "devices", Title: "A device's history", Doc: "Everything that happened to its listing: who, when, in which block and extrinsic.",
			Fields: fieldsOf(didFields, []field{paramBefore, paramLimit}), Answers: jsonAnswer[History]("A page, newest first."), Errors: []int{404}, Fresh: byIndex, Serve: (*server).history},
		{Path: "/api/v1/devices/{did}/proof", ID: "getProof", Tag: "devices", Title: "What verified a device",
			Doc:    "The raw document, the bytes that were signed, their hash, the signature, and each step of the verification, made anew for this answer.",
			Fields: didFields, Answers: jsonAnswer[Proof]("The proof."), Errors: []int{404}, Fresh: byIndex, Serve: (*server).proof},
		{Path: "/api/v1/devices/{did}/access", ID: "getAccess", Tag: "devices", Title: "Who has access to a device",
			Doc:    "Who may use its streams since when, and who could until when, by the owner's RBAC entities on the chain and those of its fleet.",
			Fields: fieldsOf(didFields, []field{paramStream, paramAccount, paramCurrent, paramOffset, paramLimit}), Answers: jsonAnswer[Access]("A page of grants."), Errors: []int{404, 422},
			Fresh: byBlock, Costly: true, Serve: (*server).access},
		{Path: "/api/v1/facets", ID: "getFacets", Tag: "devices", Title: "What there is to choose from",
			Doc:    "How many devices a search finds, and for each value of each filter how many it would find with that value. It takes the filters of a search.",
			Fields: fieldsOf(filterParams, []field{paramTop}), Answers: jsonAnswer[Facets]("The counts."), Fresh: byContent, Cache: mapCache, Costly: true, Serve: (*server).facets},
		{Path: "/api/v1/map", ID: "getMap", Tag: "devices", Title: "Devices on a map", Doc: "Clusters in a part of a map, as GeoJSON. It takes the filters of a search; bbox is the part that is looked at.",
			Fields: mapParams, Answers: []answer{{geoType, reflect.TypeFor[Collection](), "GeoJSON."}}, Fresh: byContent, Cache: mapCache, Costly: true, Serve: (*server).mapView},
		{Path: "/api/v1/tiles/{z}/{x}/{y}", ID: "getTile", Tag: "devices", Title: "Devices on a tile of a map",
			Doc:    "As the map, for one tile of Web Mercator. Clusters of neighbouring tiles don't overlap. It takes the filters of a search.",
			Fields: fieldsOf([]field{tileZ, tileX, tileY}, filterParams), Answers: []answer{{geoType, reflect.TypeFor[Collection](), "GeoJSON."}}, Fresh: byContent, Cache: mapCache, Costly: true,
			Serve: (*server).tile},
		{Path: "/api/v1/devices/{did}/td", ID: "getThing", Tag: "dialects", Title: "W3C Thing Description",
			Doc:    "A Thing Description 1.1. Streams that are asked (http) are properties, others events; their forms lead into the overlay.",
			Fields: didFields, Answers: []answer{{thingType, reflect.TypeFor[dialect.Thing](), "The Thing Description."}}, Errors: []int{404, 410}, Fresh: byIndex, Serve: (*server).thing},
		{Path: "/api/v1/devices/{did}/asyncapi", ID: "getAsyncAPI", Tag: "dialects", Title: "AsyncAPI document",
			Doc:    "An AsyncAPI 3.0 document of what the device sends.",
			Fields: didFields, Answers: []answer{{asyncType, reflect.TypeFor[dialect.Async](), "The AsyncAPI document."}}, Errors: []int{404, 410}, Fresh: byIndex, Serve: (*server).async},
		{Path: "/1.0/identifiers/{did}", ID: "resolveDID", Tag: "dialects", Title: "Resolve a DID",
			Doc: "The universal resolver's form. Accept chooses between the resolution and the document alone. A DID without a listing resolves to its key, for a did:peaq DID is an account " +
				"and an account is its key; iod:source says so. When only the hash of an ecdsa key is known, the method names the account by CAIP-10. 410: the account itself removed its document.",
			Fields: []field{paramIdentifier}, Answers: []answer{
				{resolutionType, reflect.TypeFor[dialect.Resolution](), "The resolution."}, {"application/did-resolution", reflect.TypeFor[dialect.Resolution](), "The same."},
				{jsonType, reflect.TypeFor[dialect.Resolution](), "The same."},
				{didType, reflect.TypeFor[dialect.DIDDocument](), "The document alone."}, {"application/did+json", reflect.TypeFor[dialect.DIDDocument](), "The same."},
				{"application/did", reflect.TypeFor[dialect.DIDDocument](), "The same."},
			}, Errors: []int{404, 406, 410, 501}, Fresh: byIndex, Serve: (*server).resolve},
		{Path: "/catalog", ID: "getCatalog", Tag: "dialects", Title: "DCAT catalogue",
			Doc:    "DCAT 3 in JSON-LD: a dataset for each device, a distribution for each stream, in pages. It takes the parameters of a search.",
			Fields: fieldsOf(filterParams, pageParams), Answers: []answer{{ldType, reflect.TypeFor[dialect.Catalog](), "A page of the catalogue."}}, Errors: []int{422}, Fresh: byBlock, Costly: true,
			Serve: (*server).catalog},
	}
}

func (s *server) otherRoutes() []*route {
	return []*route{
		{Path: "/api/v1/status", ID: "getStatus", Tag: "index", Title: "How far the index is", Answers: jsonAnswer[Status]("The status."), Fresh: byBlock, Serve: (*server).status},
		{Path: "/api/v1/stats", ID: "getStats", Tag: "index", Title: "The index in numbers", Doc: "Totals, live devices by what they offer, and what came and went by days.",
			Fields: []field{paramTop, paramDays}, Answers: jsonAnswer[Stats]("The numbers."), Fresh: byContent, Cache: mapCache, Costly: true, Serve: (*server).stats},
		{Path: changesPath, ID: "getChanges", Tag: "index", Title: "What changes, as it does", Doc: changesDoc, Fields: fieldsOf([]field{paramResume, headerResume}, filterParams),
			Answers: []answer{{eventsType, reflect.TypeFor[Change](), "Server-sent events until the client goes."}}, Stream: true, Serve: (*server).changes},
		{Path: "/api/v1/pending", ID: "getPending", Tag: "index", Title: "What is not final yet", Doc: "What blocks of the best chain beyond those taken in will mean once they are final. It may never come to pass.",
			Fields: []field{paramOnly}, Answers: jsonAnswer[Pending]("What is pending."), Cache: "no-store", Serve: (*server).pending},
		{Path: "/api/v1/set-aside", ID: "getSetAside", Tag: "index", Title: "What is set aside", Doc: "Documents that cannot be believed or read, with the reason, newest first.",
			Fields: []field{paramBefore, paramLimit}, Answers: jsonAnswer[Asides]("A page."), Serve: (*server).asides},
		{Path: "/healthz", ID: "getHealth", Tag: "service", Title: "Is the process alive?", Answers: jsonAnswer[Health]("It is."), Cache: "no-store", Serve: (*server).health},
		{Path: "/readyz", ID: "getReady", Tag: "service", Title: "Can the index be asked, and is it up to date?",
			Doc: "503 while the database cannot be read, the index is empty or reads the registry's state, or is too far behind.", Answers: jsonAnswer[Health]("It can, and is."),
			Cache: "no-store", Serve: (*server).ready},
		{Path: "/metrics", ID: "getMetrics", Tag: "service", Title: "Metrics for Prometheus", Doc: "Requests by route and code with their times, how far the index is, errors of the database, the process. No label tells of single clients.",
			Answers: []answer{{Media: "text/plain", Doc: "Prometheus' text format."}}, Cache: "no-store", Serve: (*server).serveMetrics},
		{Path: "/openapi.json", ID: "getOpenAPI", Tag: "service", Title: "This API as an OpenAPI 3.1 document", Answers: []answer{{jsonType, reflect.TypeFor[map[string]any](), "The document."}},
			Cache: "max-age=300", Serve: (*server).serveOpenAPI},
		{Path: "/api", ID: "getPage", Tag: "service", Title: "This API as a page for people", Answers: []answer{{Media: "text/html", Doc: "The page."}}, Cache: "max-age=300", Serve: (*server).servePage},
		{Path: "/devices", ID: "legacyDevices", Tag: "marketplace", Title: "Search as in the existing marketplace",
			Doc: "An array, newest first. It differs from the marketplace's indexer in that texts are compared as texts and prices exactly, a missing limit is 10, a limit above 500 is 500, " +
				"and wrong parameters are answered with 400. Unknown parameters are ignored, as it does.",
			Fields: legacyParams, Loose: true, Answers: jsonAnswer[[]LegacyEntry]("Live devices."), Errors: []int{422}, Fresh: byIndex, Costly: true, Serve: (*server).legacy},
	}
}

// streams are the routes whose time says nothing.
var streams = map[string]bool{changesPath: true}

const changesPath = "/api/v1/changes"
