// What the processor can do at most, to hold the race's times against: products and sums of float32 in the widest vectors, and bytes to and from memory.
//
//     c++ -O3 -march=native -ffp-contract=fast -pthread roof.cpp -o roof && ./roof [THREADS]
//
// With AVX-512, where compilers take half of the vectors if not told, add -mprefer-vector-width=512.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX2__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
typedef float Vector __attribute__((vector_size(lanes * sizeof(float))));

/// The best of seven measurements, in work a nanosecond.
template <typename Body>
double best(int threads, double work, const Body &body) {
    double most = 0;
    for (int round = 0; round < 7; round++) {
        auto start = std::chrono::steady_clock::now();
        std::vector<std::thread> running;
        for (int thread = 0; thread < threads; thread++) running.emplace_back(body, thread);
        for (auto &each : running) each.join();
        std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
        most = std::max(most, threads * work / taken.count());
    }
    return most;
}

volatile float sink;

int main(int count, char **arguments) {
    int threads = count > 1 ? std::atoi(arguments[1]) : static_cast<int>(std::thread::hardware_concurrency());
    if (threads < 1) {
        std::fprintf(stderr, "roof: error: expected a number of threads above 0, found %d\n", threads);
        return 2;
    }
    // Sums that do not wait for each other, as many as the latency asks for: two pipes of at most five cycles on x86, where there are 16 registers, four of four elsewhere.
    constexpr int chains = lanes == 4 ? 16 : 12;
    constexpr long steps = 40'000'000;
    auto products = [](int) {
        Vector sums[chains] = {}, factor, term;
        for (int lane = 0; lane < lanes; lane++) factor[lane] = 0.999f, term[lane] = 1e-3f;
        for (long step = 0; step < steps; step++)
            for (auto &sum : sums) sum = sum * factor + term;
        float total = 0;
        for (auto &sum : sums) total += sum[0];
        sink = total;
    };
    // a = b + s·c over arrays far larger than the cache: two are read, one is written.
    constexpr size_t elements = 32'000'000;
    std::vector<std::vector<float>> arrays[3];
    for (auto &array : arrays) array.assign(threads, std::vector<float>(elements, 1.f));
    auto triad = [&](int thread) {
        auto *__restrict a = arrays[0][thread].data();
        auto *b = arrays[1][thread].data(), *c = arrays[2][thread].data();
        for (size_t element = 0; element < elements; element++) a[element] = b[element] + 0.5f * c[element];
        sink = a[elements / 2];
    };
    std::printf("%d threads, vectors of %d floats: %.0f GFLOP/s, %.1f GB/s\n", threads, lanes, best(threads, 2.0 * (lanes == 4 ? 16 : 12) * lanes * steps, products),
                best(threads, 3.0 * sizeof(float) * elements, triad));
}
