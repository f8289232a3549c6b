// Package api answers searches over an index by HTTP, and asks them as a client that verifies what it is told.
//
// # One table
//
// table.go lists the routes as data: address, parameters with their types and limits, answers as Go types, errors. From it come the
// handlers' parsing (params.go), the OpenAPI 3.1 document at /openapi.json (openapi.go, with package schema), the page for people at
// /api (page.go), and the tests that call every route with every parameter and check real answers against the document. What a route
// takes and answers is therefore not repeated here.
//
//	api/schema     Go types → JSON Schema 2020-12
//	api/dialect    listings → DID documents, Thing Descriptions, AsyncAPI, DCAT
//	api/transport  limits, rates, compression, problems, the server
//
// # Rules for all routes
//
// They are read only and open to pages of other sites. A wrong parameter, and one that does not exist, is answered with
// application/problem+json (RFC 9457) whose member parameter names it. Prices are decimal strings. An answer's weak ETag comes from the newest line
// of the index's history (or from its cursor, where more than listings is told), so it lasts as long as nothing was changed. Tokens
// for next pages belong to one order, and by distance to one centre; see mark.go.
//
// The database's errors are 503 with Retry-After, and logged, not told. Costly routes (searches, maps, counts) pass a gate: some are worked
// on, some wait for a second, more are told to come back.
//
// # The existing marketplace
//
//	GET /devices?address=…
//	GET /devices?filters[0][field]=data_type&filters[0][condition]==&filters[0][value]=wind&limit=10&offset=0
//
// answers as its indexer does: an array, newest first. Fields are data_type, location, price_access and price_pin, conditions =, < and >;
// all filters must hold; with an address all else is ignored; prices are JSON numbers and zero when there is none; additional is left out when
// empty and does not hold iod's own fields; updated_at is the block's Unix time in seconds. It differs in that texts are compared as
// texts and prices exactly, a missing limit is 10 rather than 0 beside other parameters, a limit above 500 is 500, and wrong
// parameters are answered with 400.
package api
