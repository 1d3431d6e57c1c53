"""Builds the ONNX decoder graph of a model for ragged batches.

Linear layers see the new tokens of all rows as one flat [N, ...]: no work on padding. Attention sees
them cut into pieces of T tokens, each with its row's past: P pieces, padded to T queries and S past
tokens. The past is gathered from the KV banks; the N new tokens are scored apart and joined before
the softmax, so keys and values are never copied together.

Each linear layer is y = W x + up ((down x) * lanes), where W is 4-bit or float32 and the low-rank term
holds both what 4 bits leave out (Q4_1's block offsets, always on) and the resident LoRA adapters, whose
`lanes` [N, R] are 1 for the tokens of their own rows and 0 for the others.

It refuses to know what is in the banks: `onnx_runner` fills and binds them.
"""

from typing import Any

import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from townsfolk.engine.hyperparameters import Hyperparameters
from townsfolk.engine.model import Layer, Model, rope_tables
from townsfolk.engine.quantize import BLOCK, Floats, Int4Weight, Weight, block_offsets, unpack

OPSET, CONTRIB_OPSET, IR_VERSION = 21, 1, 10
FLOAT32_ACTIVATIONS = 1
"""MatMulNBits' accuracy level. Rounding activations to 8 bits (4) is 2-3 times as fast for one row, but moves
logits by 0.1 on average and by over 1 between batches, as roundings flip; this one by 0.001."""

Weights = dict[str, npt.NDArray[Any]]


def build_graph(model: Model, max_positions: int) -> tuple[bytes, Weights]:
    """The graph, and its weights by name, for positions below `max_positions`.

    Inputs: hidden [N, hidden]; positions [N, 1]; past_slots [P, S]; query_index [P*T] (piece -> flat);
    flat_index [N] (flat -> piece); mask [1, P, T, 1, S+N] (0 or -inf); wanted [M]; the shapes that
    depend on the batch; keys.i and values.i [kv_heads, slots, head_dim] (16 bit) of layer i;
    down.p.i [in, R], up.p.i [R, out] and lanes.p [N, R] of projection p.
    Outputs: logits [M, vocab]; kv [layers*2*kv_heads, N, head_dim], keys before values in each layer.
    """
    builder = _Builder(model.params)
    builder.rope(max_positions, model.rope_factors)
    hidden, normed = "hidden", builder.norm("hidden", model.layers[0].attn_norm)
    fresh: list[str] = []
    next_norms = [layer.attn_norm for layer in model.layers[1:]] + [model.final_norm]
    for index, layer in enumerate(model.layers):
        mixed, new_keys, new_values = builder.attention(normed, layer, index)
        fresh += [new_keys, new_values]
        normed, hidden = builder.add_norm(hidden, mixed, layer.ffn_norm)
        normed, hidden = builder.add_norm(hidden, builder.mlp(normed, layer, index), next_norms[index])
    last = builder.node("Gather", normed, "wanted", axis=0)
    builder.output(builder.head(last, model.lm_head), "logits")
    builder.output(builder.node("Concat", *fresh, axis=0), "kv")
    return builder.serialize(), builder.weights


class _Builder:
    """Collects nodes; a method per building block of the decoder, returning its output's name."""

    def __init__(self, params: Hyperparameters) -> None:
        self.params = params
        self.weights: Weights = {}
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: dict[str, int] = {}

    def node(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Append a node; the name of its output, or a list of names when it has several."""
        names = [f"{op}_{len(self._nodes)}_{n}" for n in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def contrib(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Append one of ONNX Runtime's own operators."""
        return self.node(op, *inputs, outputs=outputs, domain="com.microsoft", **attributes)

    def input(self, name: str, kind: int = TensorProto.FLOAT) -> str:
        self._inputs[name] = kind
        return name

    def index(self, name: str) -> str:
        return self.input(name, TensorProto.INT64)

    def weight(self, values: npt.NDArray[Any]) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights[name] = values
        return name

    def output(self, name: str, public: str) -> None:
        self._nodes.append(helper.make_node("Identity", [name], [public]))

    def rope(self, positions: int, factors: Floats | None) -> None:
        """Tables of cosines and sines, [positions, head_dim/2]."""
        cosines, sines = rope_tables(self.params, factors, positions)
        self._cos, self._sin = self.weight(cosines), self.weight(sines)

    def norm(self, x: str, weight: Floats) -> str:
        name: str = self.node(
            "SimplifiedLayerNormalization", x, self.weight(weight), axis=-1, epsilon=self.params.norm_eps
        )
        return name

    def add_norm(self, residual: str, update: str, weight: Floats) -> tuple[str, str]:
        """(norm(residual + update), residual + update)."""
        inputs = (update, residual, self.weight(weight))
        out = self.contrib(
            "SkipSimplifiedLayerNormalization", *inputs, outputs=4, epsilon=self.params.norm_eps
        )
        self._nodes[-1].output[1] = self._nodes[-1].output[2] = ""  # mean and variance: not wanted
        return out[0], out[3]

    def multiply(self, x: str, weight: Weight) -> str:
        """x [N, in] -> [N, out], without the low-rank term."""
        values = unpack(weight)
        if not isinstance(values, Int4Weight):
            name: str = self.node("MatMul", x, self.weight(values.T))
            return name
        out, blocks, _ = values.packed.shape
        name = self.contrib(
            "MatMulNBits",
            x,
            self.weight(values.packed),
            self.weight(values.scales.reshape(-1)),
            K=blocks * BLOCK,
            N=out,
            bits=4,
            block_size=BLOCK,
            accuracy_level=FLOAT32_ACTIVATIONS,
        )
        return name

    def head(self, x: str, weight: Weight) -> str:
        """x [M, hidden] -> logits [M, vocab]. No adapter changes them, so no bank holds the offsets."""
        logits, offsets = self.multiply(x, weight), block_offsets(weight)
        if offsets is None:
            return logits
        blocks = self._reshape(x, [0, -1, BLOCK])
        sums = self.node("ReduceSum", blocks, self._constant([-1]), keepdims=0)  # [M, hidden/32]
        name: str = self.node("Add", logits, self.node("MatMul", sums, self.weight(offsets.T)))
        return name

    def linear(self, x: str, layer: Layer, projection: str, index: int) -> str:
        down = self.node("MatMul", x, self.input(f"down.{projection}.{index}"))  # [N, R]
        own = self.node("Mul", down, self.input(f"lanes.{projection}"))
        full = self.multiply(x, layer.linear[projection])
        name: str = self.node("Gemm", own, self.input(f"up.{projection}.{index}"), full)
        return name

    def mlp(self, x: str, layer: Layer, index: int) -> str:
        gate, up = self.node(
            "Split", self.linear(x, layer, "gate_up", index), outputs=2, axis=-1, num_outputs=2
        )
        silu = self.contrib("QuickGelu", gate, alpha=1.0)
        return self.linear(self.node("Mul", silu, up), layer, "down", index)

    def attention(self, x: str, layer: Layer, index: int) -> tuple[str, str, str]:
        """(attention's output [N, hidden], new keys, new values [kv_heads, N, head_dim])."""
        query, keys, values = self._queries_keys_values(self.linear(x, layer, "qkv", index), layer)
        probabilities = self._probabilities(query, keys, index)
        mixed = self._mix(probabilities, values, index)
        return self.linear(mixed, layer, "o", index), keys, values

    def _queries_keys_values(self, qkv: str, layer: Layer) -> tuple[str, str, str]:
        """qkv [N, out] -> queries by piece [kv_heads, P, T*group, head_dim], keys, values."""
        params = self.params
        q_size, kv_size = params.heads * params.head_dim, params.kv_heads * params.head_dim
        if layer.qkv_bias is not None:
            qkv = self.node("Add", qkv, self.weight(layer.qkv_bias))
        qk, v = self._split(qkv, [q_size + kv_size, kv_size])
        if layer.query_norm is not None and layer.key_norm is not None:
            q, k = self._split(qk, [q_size, kv_size])
            qk = self.node(
                "Concat", self._norm_heads(q, layer.query_norm), self._norm_heads(k, layer.key_norm), axis=-1
            )
        turned = self.contrib(
            "RotaryEmbedding",
            self._reshape(qk, [-1, 1, q_size + kv_size]),
            self.index("positions"),
            self._cos,
            self._sin,
        )
        q, k = self._split(self._reshape(turned, [-1, q_size + kv_size]), [q_size, kv_size])
        padded = self.node("Gather", q, self.index("query_index"), axis=0)  # [P*T, heads*head_dim]
        pieces = self.node("Reshape", padded, self.index("piece_shape"))  # [P, T, kv_heads, group, head_dim]
        by_head = self.node("Transpose", pieces, perm=[2, 0, 1, 3, 4])
        query = self.node("Reshape", by_head, self.index("query_shape"))
        return query, self._heads_first(k), self._heads_first(v)

    def _norm_heads(self, x: str, weight: Floats) -> str:
        """Each head of x [N, heads*head_dim] normalised, in the same shape."""
        size = self.params.head_dim
        normed = self.norm(self._reshape(x, [0, -1, size]), weight)
        return self._reshape(normed, [0, -1])

    def _probabilities(self, query: str, keys: str, index: int) -> str:
        """[kv_heads, P, T, group, S+N]: over the row's past, then over the new tokens it may see."""
        scale = self.params.head_dim**-0.5
        old = self._past(f"keys.{index}")
        past = self.contrib("FusedMatMul", query, old, transB=1, alpha=scale)  # [kv_heads, P, T*group, S]
        flat = self._reshape(query, [self.params.kv_heads, -1, self.params.head_dim])
        new = self.contrib("FusedMatMul", flat, keys, transB=1, alpha=scale)  # [kv_heads, P*T*group, N]
        scores = self.node("Concat", past, self.node("Reshape", new, self.index("new_shape")), axis=-1)
        masked = self.node("Add", self.node("Reshape", scores, self.index("score_shape")), self.input("mask"))
        name: str = self.node("Softmax", masked, axis=-1)
        return name

    def _mix(self, probabilities: str, values: str, index: int) -> str:
        """Probabilities over past and new values -> [N, heads*head_dim]."""
        params = self.params
        past, new = self.node("Split", probabilities, self.index("past_and_new"), outputs=2, axis=-1)
        old = self._past(f"values.{index}")
        from_past = self.node("MatMul", self.node("Reshape", past, self.index("past_shape")), old)
        flat = self.node("Reshape", new, self.index("flat_shape"))  # [kv_heads, P*T*group, N]
        from_new = self.node("MatMul", flat, values)
        summed = self.node("Add", self._reshape(from_past, [params.kv_heads, -1, params.head_dim]), from_new)
        pieces = self._reshape(
            summed, [params.kv_heads, -1, params.heads // params.kv_heads, params.head_dim]
        )
        by_token = self.node("Transpose", pieces, perm=[1, 0, 2, 3])  # [P*T, kv_heads, group, head_dim]
        padded = self._reshape(by_token, [-1, params.heads * params.head_dim])
        name: str = self.node("Gather", padded, self.index("flat_index"), axis=0)
        return name

    def _past(self, bank: str) -> str:
        """Keys or values of each piece's past, [kv_heads, P, S, head_dim]."""
        halves = self.node("Gather", self.input(bank, TensorProto.FLOAT16), self.index("past_slots"), axis=1)
        name: str = self.node("Cast", halves, to=TensorProto.FLOAT)
        return name

    def _heads_first(self, x: str) -> str:
        """[N, kv_heads*head_dim] -> [kv_heads, N, head_dim]."""
        by_token = self._reshape(x, [-1, self.params.kv_heads, self.params.head_dim])
        name: str = self.node("Transpose", by_token, perm=[1, 0, 2])
        return name

    def _split(self, x: str, sizes: list[int]) -> Any:
        return self.node("Split", x, self._constant(sizes), outputs=len(sizes), axis=-1)

    def _reshape(self, x: str, shape: list[int]) -> str:
        name: str = self.node("Reshape", x, self._constant(shape))
        return name

    def _constant(self, values: list[int]) -> str:
        name: str = self.node("Constant", value_ints=values)
        return name

    def serialize(self) -> bytes:
        self.input("hidden")
        self.index("wanted")
        inputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in self._inputs.items()]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("logits", "kv")]
        graph = helper.make_graph(
            self._nodes, "decoder", inputs, outputs, [_placeholder(*item) for item in self.weights.items()]
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", CONTRIB_OPSET)]
        data: bytes = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION
        ).SerializeToString()
        return data


def _placeholder(name: str, values: npt.NDArray[Any]) -> onnx.TensorProto:
    """Declares a weight whose values are handed to the session in memory, past the 2 GB protobuf limit."""
    tensor = TensorProto(name=name, dims=values.shape, data_location=TensorProto.EXTERNAL)
    tensor.data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor.external_data.add(key="location", value="in-memory")
    return tensor
