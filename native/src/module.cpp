// The Python module townsfolk.engine._native: checks what comes in, then runs without the interpreter's lock.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "decoder.hpp"
#include "require.hpp"

namespace nb = nanobind;
using namespace townsfolk;

namespace {

template <class Scalar, int Dimensions>
using Array = nb::ndarray<const Scalar, nb::ndim<Dimensions>, nb::c_contig, nb::device::cpu>;
using Floats1 = Array<float, 1>;
using Floats2 = Array<float, 2>;
using Ints = Array<std::int32_t, 1>;
// 16-bit floats come as their bits.
using Halves = Array<std::uint16_t, 2>;
using Writable = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::vector<float> copied(const Floats1& values, int size) {
    require(static_cast<int>(values.size()) == size, "a vector of weights has another size than the model");
    return {values.data(), values.data() + size};
}

std::vector<float> copied(const std::optional<Floats1>& values, int size) {
    return values ? copied(*values, size) : std::vector<float>();
}

RotaryTables rotary_tables(const Floats2& cosines, const Floats2& sines, int head_dim) {
    require(cosines.shape(0) == sines.shape(0) && cosines.shape(1) == sines.shape(1) &&
                static_cast<int>(cosines.shape(1)) == head_dim / 2,
            "rotary tables must be [positions, head_dim / 2]");
    return {static_cast<int>(cosines.shape(0)),
            {cosines.data(), cosines.data() + cosines.size()},
            {sines.data(), sines.data() + sines.size()}};
}

const Kernels& kernels_named(const std::optional<std::string>& name) {
    const Kernels* kernels = find_kernels(name ? name->c_str() : nullptr);
    if (!kernels) throw std::invalid_argument("this processor or build has no kernels named " + *name);
    return *kernels;
}

std::vector<std::string> usable_kernels() {
    std::vector<std::string> names;
    for (const char* name : {"amx", "avx512vnni", "avx2", "neon_dotprod", "neon", "portable"}) {
        if (find_kernels(name)) names.emplace_back(name);
    }
    return names;
}

// (GGUF type, [rows, bytes of a row] as in the file, order of the rows or None)
using Part = std::tuple<int, Array<std::uint8_t, 2>, std::optional<Ints>>;

PackedMatrix packed(const std::vector<Part>& parts, int width) {
    std::vector<RawRows> raw;
    for (const auto& [type, bytes, order] : parts) {
        require(!order || order->size() == bytes.shape(0), "an order of rows must name each of them");
        raw.push_back({static_cast<GgufType>(type), bytes.data(), bytes.size(),
                       static_cast<int>(bytes.shape(0)), order ? order->data() : nullptr});
    }
    nb::gil_scoped_release unlocked;
    return pack(raw, width);
}

// Leaves an empty matrix behind, which fits nowhere.
PackedMatrix taken(PackedMatrix* matrix, int columns, int width) {
    require(matrix && matrix->columns == columns && matrix->width == width,
            "a weight is missing, already in use, or of another shape than the model");
    return std::exchange(*matrix, PackedMatrix());
}

// A decoder and the adapters that are resident in it. One thread alone uses it; others may lay out adapters.
class PythonDecoder {
  public:
    PythonDecoder(int vocab, int layers, int hidden, int ffn, int heads, int kv_heads, int head_dim,
                  float epsilon, const Floats2& cosines, const Floats2& sines, int threads, int kv_slots,
                  int kv_bits, const std::optional<std::string>& kernels)
        : shape_{vocab, layers, hidden, ffn, heads, kv_heads, head_dim, epsilon},
          decoder_(shape_, rotary_tables(cosines, sines, head_dim), kernels_named(kernels), threads, kv_slots,
                   kv_bits) {}

    std::string kernels() const { return decoder_.kernels().name; }

    void set_layer(int index, const Floats1& attention_norm, const Floats1& ffn_norm,
                   const std::vector<PackedMatrix*>& linear, const std::optional<Floats1>& qkv_bias,
                   const std::optional<Floats1>& query_norm, const std::optional<Floats1>& key_norm) {
        require(index >= 0 && index < shape_.layers && linear.size() == kProjections,
                "a layer has 4 linear layers and a place in the model");
        require(query_norm.has_value() == key_norm.has_value(),
                "queries and keys have a norm both or neither");
        Layer layer;
        layer.attention_norm = copied(attention_norm, shape_.hidden);
        layer.ffn_norm = copied(ffn_norm, shape_.hidden);
        layer.qkv_bias = copied(qkv_bias, shape_.columns(kQkv));
        layer.query_norm = copied(query_norm, shape_.head_dim);
        layer.key_norm = copied(key_norm, shape_.head_dim);
        for (int i = 0; i < kProjections; ++i) {
            layer.linear[i] = taken(linear[i], shape_.columns(i), shape_.width(i));
        }
        decoder_.layer(index) = std::move(layer);
    }

    void set_head(const Floats1& norm, PackedMatrix& head) {
        std::vector<float> own_norm = copied(norm, shape_.hidden);
        decoder_.head() = taken(&head, shape_.vocab, shape_.hidden);
        decoder_.final_norm() = std::move(own_norm);
    }

    std::shared_ptr<Adapter> adapter() const { return std::make_shared<Adapter>(shape_.layers); }

    void add_target(Adapter& adapter, int layer, int projection, int first, const Halves& a, const Halves& b,
                    float scaling) const {
        const int rank = static_cast<int>(a.shape(0)), rows = static_cast<int>(b.shape(0));
        require(layer >= 0 && layer < shape_.layers && projection >= 0 && projection < kProjections,
                "no such layer");
        require(fits(adapter), "an adapter belongs to a decoder of another shape");
        require(static_cast<int>(a.shape(1)) == shape_.width(projection) &&
                    static_cast<int>(b.shape(1)) == rank && rank > 0,
                "A must be [rank, in] and B [out, rank]");
        require(first >= 0 && first % kTile == 0 && rows % kTile == 0 &&
                    first <= shape_.columns(projection) - rows,
                "a LoRA target must start and end at a multiple of 16 inside the projection");
        auto& targets = adapter.targets[static_cast<std::size_t>(layer) * kProjections + projection];
        require(targets.size() < kMaxTargets, "a projection has at most 3 LoRA targets");
        targets.push_back([&] {
            nb::gil_scoped_release unlocked;
            return pack_low_rank(a.data(), b.data(), shape_.width(projection), first, rows, rank, scaling);
        }());
    }

    // Null where a slot is free.
    void set_adapters(std::vector<std::shared_ptr<Adapter>> adapters) {
        require(std::ranges::all_of(adapters, [this](const auto& each) { return !each || fits(*each); }),
                "an adapter belongs to a decoder of another shape");
        adapters_ = std::move(adapters);
    }

    // The output matrix as the embedding, where they are one.
    void embed(const Ints& tokens, Writable hidden) {
        const PackedMatrix& matrix = decoder_.head();
        require(hidden.shape(0) == tokens.size() && static_cast<int>(hidden.shape(1)) == matrix.width,
                "hidden states must be [tokens, hidden]");
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            const int token = tokens.data()[i];
            require(token >= 0 && token < matrix.columns, "no such token");
            read_column(matrix, token, hidden.data() + i * matrix.width);
        }
    }

    // Rows are (new tokens, slots, adapter slot or -1, position it applies from, wanted, allowed or None).
    using Row = std::tuple<int, Ints, int, int, int, std::optional<Ints>>;

    void forward(const Floats2& hidden, const std::vector<Row>& rows, Writable logits) {
        std::vector<Sequence> sequences;
        for (const Row& row : rows) sequences.push_back(sequence(row));
        std::size_t tokens = 0, wanted = 0;
        for (const Sequence& each : sequences) tokens += each.tokens, wanted += each.wanted;
        require(hidden.shape(0) == tokens && static_cast<int>(hidden.shape(1)) == shape_.hidden,
                "hidden states must be [new tokens, hidden]");
        require(logits.shape(0) == wanted && static_cast<int>(logits.shape(1)) == shape_.vocab,
                "logits must be [wanted, vocab]");
        nb::gil_scoped_release unlocked;
        decoder_.forward(hidden.data(), sequences, logits.data());
    }

    void release(int first_slot) {
        require(first_slot >= 0 && first_slot <= decoder_.kv_slots(), "no such slot");
        nb::gil_scoped_release unlocked;
        decoder_.release(first_slot);
    }

  private:
    // Whether it was laid out for a model of this shape.
    bool fits(const Adapter& adapter) const {
        const auto& all = adapter.targets;
        if (all.size() != static_cast<std::size_t>(shape_.layers) * kProjections) return false;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const int projection = static_cast<int>(i % kProjections);
            const std::size_t width = shape_.width(projection);
            for (const LowRank& target : all[i]) {
                if (target.down.size() != target.rank * width ||
                    (target.first_tile + target.tiles) * kTile > shape_.columns(projection)) {
                    return false;
                }
            }
        }
        return true;
    }

    // What only this module can see; the decoder checks the rest.
    Sequence sequence(const Row& row) const {
        const auto& [tokens, slots, adapter, adapter_from, wanted, allowed] = row;
        require(adapter >= -1 && adapter < static_cast<int>(adapters_.size()), "no such adapter slot");
        require(!allowed || static_cast<int>(allowed->size()) == (shape_.vocab + 31) / 32,
                "a mask of allowed tokens must have a bit for each");
        return {tokens,
                slots.data(),
                static_cast<int>(slots.size()),
                adapter < 0 ? nullptr : adapters_[adapter].get(),
                adapter_from,
                wanted,
                allowed ? reinterpret_cast<const std::uint32_t*>(allowed->data()) : nullptr};
    }

    Shape shape_;
    Decoder decoder_;
    std::vector<std::shared_ptr<Adapter>> adapters_;
};

}  // namespace

NB_MODULE(_native, module) {
    // An interpreter that ends while the engine is open keeps its objects: no news for whoever reads the
    // terminal.
    nb::set_leak_warnings(false);
    module.doc() = "A decoder for ragged batches with a LoRA adapter for each row.";
    nb::class_<PackedMatrix>(module, "PackedMatrix", "A weight matrix, laid out for the kernels.");
    nb::class_<Adapter>(module, "Adapter", "A LoRA adapter, laid out for the kernels.");
    module.def("pack", &packed, nb::arg("parts"), nb::arg("width"));
    module.def("kernels", &usable_kernels, "Names of the instruction sets that this processor can use.");
    nb::class_<PythonDecoder>(module, "Decoder", "See native/src/decoder.hpp.")
        .def(nb::init<int, int, int, int, int, int, int, float, const Floats2&, const Floats2&, int, int, int,
                      const std::optional<std::string>&>(),
             nb::kw_only(), nb::arg("vocab"), nb::arg("layers"), nb::arg("hidden"), nb::arg("ffn"),
             nb::arg("heads"), nb::arg("kv_heads"), nb::arg("head_dim"), nb::arg("epsilon"),
             nb::arg("cosines"), nb::arg("sines"), nb::arg("threads"), nb::arg("kv_slots"),
             nb::arg("kv_bits"), nb::arg("kernels").none())
        .def_prop_ro("kernels", &PythonDecoder::kernels)
        .def("set_layer", &PythonDecoder::set_layer, nb::arg("index"), nb::arg("attention_norm"),
             nb::arg("ffn_norm"), nb::arg("linear"), nb::arg("qkv_bias").none(), nb::arg("query_norm").none(),
             nb::arg("key_norm").none())
        .def("set_head", &PythonDecoder::set_head)
        .def("adapter", &PythonDecoder::adapter)
        .def("add_target", &PythonDecoder::add_target)
        .def("set_adapters", &PythonDecoder::set_adapters)
        .def("embed", &PythonDecoder::embed)
        .def("forward", &PythonDecoder::forward)
        .def("release", &PythonDecoder::release);
}
