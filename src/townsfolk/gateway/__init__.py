"""Wire <-> types: HTTP, gRPC, the OpenAI-compatible endpoint, authorization, limits. No logic.

Every call becomes one call of `service.Service`, which serving/ implements; the gateway knows
neither model nor villager nor database.
"""
