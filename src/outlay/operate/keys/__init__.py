"""Virtual keys: who may call through the gateway, for which team, use case and environment, and until when."""
