"""Checks documents with what others wrote: {"openapi": …, "catalog": […]} on standard input; what is wrong, one finding a line, on
standard output.

openapi  openapi-spec-validator: OpenAPI 3.1 with JSON Schema 2020-12
catalog  rdflib: JSON-LD into RDF without fetching anything, then questions in SPARQL, as a harvester of DCAT asks
"""
import json
import sys

given = json.load(sys.stdin)

if "openapi" in given:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    for error in OpenAPIV31SpecValidator(given["openapi"]).iter_errors():
        print(f"openapi: {'/'.join(map(str, error.absolute_path))}: {error.message[:500]}")

QUESTION = """
PREFIX dcat: <http://www.w3.org/ns/dcat#>
PREFIX dct: <http://purl.org/dc/terms/>
PREFIX gsp: <http://www.opengis.net/ont/geosparql#>
SELECT ?dataset ?title ?at ?url ?service ?media WHERE {
  ?catalog a dcat:Catalog ; dcat:dataset ?dataset .
  ?dataset a dcat:Dataset ; dct:identifier ?id ; dct:title ?title ; dct:description ?text ; dct:accessRights ?rights ; dcat:landingPage ?page .
  OPTIONAL { ?dataset dct:spatial/dcat:centroid ?at FILTER(datatype(?at) = gsp:wktLiteral) }
  OPTIONAL { ?dataset dcat:distribution ?d . ?d a dcat:Distribution ; dcat:accessURL ?url ; dcat:accessService ?service OPTIONAL { ?d dcat:mediaType ?media } }
}"""

for page in given.get("catalog", []):
    import rdflib

    graph = rdflib.Graph().parse(data=json.dumps(page), format="json-ld")
    rows = list(graph.query(QUESTION))
    want = {}
    for d in page["dcat:dataset"]:
        want[d["@id"]] = {x["dcat:accessURL"]["@id"] for x in d.get("dcat:distribution", [])}
        point = d.get("dct:spatial", {}).get("dcat:centroid", {}).get("@value")
        if not any(str(r.dataset) == d["@id"] and (r.at is None if point is None else str(r.at) == point) for r in rows):
            print(f"catalog: dataset {d['@id']} is not found, or not at {point}")
    got = {}
    for r in rows:
        got.setdefault(str(r.dataset), set()).update([str(r.url)] if r.url else [])
    if want != got:
        print(f"catalog: RDF has {got}, JSON {want}")
    for s, p, o in graph:
        for term in (s, p, o):
            if isinstance(term, rdflib.URIRef) and ":" not in term:
                print(f"catalog: relative IRI {term}")
