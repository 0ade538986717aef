"""The live way in: OpenTelemetry's protocol over HTTP and gRPC, into the spool and from there into the ledger."""
