// What this machine can do at best: prints its read bandwidth (GB/s) and 8-bit multiply-adds (billions/s).
//   machine THREADS
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#if defined(__AMX_INT8__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

constexpr int kRounds = 10;
constexpr std::size_t kBytes = std::size_t{256} << 20;  // of each thread: beyond any cache

double seconds(const std::function<void(int)>& task, int threads) {
    double best = 1e9;
    for (int round = 0; round < kRounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        std::vector<std::thread> workers;
        for (int i = 0; i < threads; ++i) workers.emplace_back(task, i);
        for (std::thread& worker : workers) worker.join();
        const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
        best = taken.count() < best ? taken.count() : best;
    }
    return best;
}

std::uint64_t read_all(const std::vector<std::uint64_t>& words) {
    std::uint64_t sums[8] = {};
    for (std::size_t i = 0; i < words.size(); i += 8) {
        for (int j = 0; j < 8; ++j) sums[j] ^= words[i + j];
    }
    std::uint64_t all = 0;
    for (const std::uint64_t sum : sums) all ^= sum;
    return all;
}

// The multiply-adds of one call: independent chains, nothing but arithmetic.
constexpr int kSteps = 2'000'000;
#if defined(__AMX_INT8__) && defined(__linux__)
// Four tiles of sums, each 16 x 16 and 64 products deep. Linux wants to be asked for tile registers, once a
// process.
constexpr int kPerStep = 4 * 16 * 16 * 64;
int multiply_add() {
    constexpr int kRequest = 0x1023, kTileData = 18;
    if (syscall(SYS_arch_prctl, kRequest, kTileData) != 0) std::exit(1);
    alignas(64) std::uint8_t shapes[64] = {1};
    for (int tile = 0; tile < 6; ++tile) shapes[16 + 2 * tile] = 64, shapes[48 + tile] = 16;
    asm volatile("ldtilecfg %0" : : "m"(shapes));
    for (int step = 0; step < kSteps; ++step) {
        asm volatile(
            "tdpbssd %tmm5, %tmm4, %tmm0\n\t"
            "tdpbssd %tmm5, %tmm4, %tmm1\n\t"
            "tdpbssd %tmm5, %tmm4, %tmm2\n\t"
            "tdpbssd %tmm5, %tmm4, %tmm3");
    }
    asm volatile("tilerelease");
    return 0;
}
#elif defined(__AVX512VNNI__)
constexpr int kPerStep = 8 * 64;
int multiply_add() {
    __m512i sums[8] = {}, x = _mm512_set1_epi8(3);
    for (int step = 0; step < kSteps; ++step) {
        asm volatile("" : "+v"(x));
        for (auto& sum : sums) sum = _mm512_dpbusd_epi32(sum, x, x);
    }
    for (int i = 1; i < 8; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
    return _mm_cvtsi128_si32(_mm512_castsi512_si128(sums[0]));
}
#elif defined(__AVX2__)
constexpr int kPerStep = 8 * 32;
int multiply_add() {
    __m256i sums[8] = {}, x = _mm256_set1_epi8(3);
    // Sums of 16 bits, as 4-bit weights allow. In assembly: GCC would keep the sums in memory.
    for (int step = 0; step < kSteps; ++step) {
        for (auto& sum : sums) {
            __m256i products;
            asm volatile("vpmaddubsw %2, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(x));
        }
    }
    for (int i = 1; i < 8; ++i) sums[0] = _mm256_add_epi32(sums[0], sums[i]);
    return _mm_cvtsi128_si32(_mm256_castsi256_si128(sums[0]));
}
#elif defined(__ARM_FEATURE_DOTPROD)
constexpr int kPerStep = 8 * 16;
int multiply_add() {
    int32x4_t sums[8] = {};
    int8x16_t x = vdupq_n_s8(3);
    for (int step = 0; step < kSteps; ++step) {
        asm volatile("" : "+w"(x));
        for (auto& sum : sums) sum = vdotq_s32(sum, x, x);
    }
    for (int i = 1; i < 8; ++i) sums[0] = vaddq_s32(sums[0], sums[i]);
    return vaddvq_s32(sums[0]);
}
#else
constexpr int kPerStep = 8;
int multiply_add() {
    int sums[8] = {};
    std::int8_t x = 3;
    for (int step = 0; step < kSteps; ++step) {
        for (int& sum : sums) {
            asm volatile("" : "+r"(x));  // or one product would serve all sums
            sum += x * x;
        }
    }
    return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}
#endif

}  // namespace

int main(int, char** arguments) {
    const int threads = std::atoi(arguments[1]);
    std::vector<std::vector<std::uint64_t>> words(threads, std::vector<std::uint64_t>(kBytes / 8, 1));
    static volatile std::uint64_t sink = 0;
    const double reading = seconds([&](int i) { sink = read_all(words[i]); }, threads);
    const double adding = seconds([&](int) { sink = static_cast<std::uint64_t>(multiply_add()); }, threads);
    std::printf("%f %f\n", 1e-9 * threads * kBytes / reading, 1e-9 * threads * kPerStep * kSteps / adding);
}
