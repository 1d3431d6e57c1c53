"""TOKENS IN, TOKENS OUT: schedule -> run -> update. Knows no text formats and nothing of the game.

engine      the door: submit, stream, adapters, stats, one thread
core        one step of the loop
scheduler   who is in the next pass
kv          which slot of the KV cache holds which token
adapter_slots                          which adapters there are, and which of them have a slot
sampling    logits -> token            constraint   what a grammar must offer
runner      the contract with whatever multiplies the matrices
runners     which runner it is on this machine
native_runner                          the fast runner, over the C++ of native/
onnx_runner, graph, banks              the portable runner
model, quantize, tokenizer, adapters   files -> checked objects
"""

from townsfolk.engine.adapters import base_reference
from townsfolk.engine.constraint import Constraint
from townsfolk.engine.engine import AdapterInfo, Engine, EngineStats, PassReport, RequestHandle
from townsfolk.engine.model import open_model
from townsfolk.engine.request import Finish, Generation, GenerationRequest, Timings, TokenEvent
from townsfolk.engine.sampling import SamplingParams
from townsfolk.engine.tokenizer import Detokenizer, ModelTokenizer

__all__ = [
    "AdapterInfo",
    "Constraint",
    "Detokenizer",
    "Engine",
    "EngineStats",
    "Finish",
    "Generation",
    "GenerationRequest",
    "ModelTokenizer",
    "PassReport",
    "RequestHandle",
    "SamplingParams",
    "Timings",
    "TokenEvent",
    "base_reference",
    "open_model",
]
