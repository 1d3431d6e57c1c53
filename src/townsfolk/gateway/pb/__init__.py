"""Generated from proto/townsfolk/v1 by scripts/proto: edit the .proto files, not these."""
