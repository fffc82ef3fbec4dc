// sluice-sim: random worlds for the scheduler core. See README.md.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "tests/sim/broken.hpp"
#include "tests/sim/endless.hpp"
#include "tests/sim/world.hpp"

namespace {

using sluice::sim::EndlessWatch;
using sluice::sim::Faults;
using sluice::sim::Histogram;
using sluice::sim::World;

constexpr int steps_per_world = 1'500;

struct Options {
    std::uint64_t seed{0};
    int steps{20'000};
    std::string faults{"crash,slow,lost,duplicate"};
    bool quiet{false};
    bool all{false};  // what no world meets is a failure
};

[[noreturn]] void usage() {
    std::fputs(
        "usage: sluice-sim [--seed N] [--steps N] [--faults crash,slow,lost,duplicate] [--quiet] "
        "[--all]\n",
        stderr
    );
    std::exit(2);
}

Options read_options(int argc, char** argv) {
    Options options;
    options.seed = std::random_device{}();
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (name == "--quiet" || name == "--all") {
            (name == "--quiet" ? options.quiet : options.all) = true;
            continue;
        }
        if (i + 1 == argc) usage();
        const std::string value = argv[++i];
        if (name == "--seed")
            options.seed = std::strtoull(value.c_str(), nullptr, 10);
        else if (name == "--steps")
            options.steps = std::atoi(value.c_str());
        else if (name == "--faults")
            options.faults = value;
        else
            usage();
    }
    return options;
}

Faults read_faults(const std::string& text) {
    const auto has = [&](std::string_view word) { return text.find(word) != std::string::npos; };
    return {has("crash"), has("slow"), has("lost"), has("duplicate")};
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = read_options(argc, argv);
    const Faults faults = read_faults(options.faults);
    Histogram histogram = sluice::sim::everything_wanted();
    std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
    std::optional<World> world;
    std::uint64_t seed = 0;
    int steps = 0;
    const auto tell = [&](const char* what) {
        std::printf("BROKEN: %s\n", what);
        if (world)
            for (const auto& line : world->story()) std::printf("%s\n", line.c_str());
        std::printf(
            "replay: sluice-sim --seed %llu --steps %d --faults %s\n",
            static_cast<unsigned long long>(seed),
            steps,
            options.faults.c_str()
        );
        std::fflush(stdout);
    };
    EndlessWatch watch([&] { tell("a turn does not end"); });
    for (int done = 0; done < options.steps; done += steps_per_world) {
        // Each world has a seed of its own, so that a failure is repeated by that world alone.
        seed = options.seed + static_cast<std::uint64_t>(done);
        steps = std::min(steps_per_world, options.steps - done);
        world.reset();
        try {
            world.emplace(seed, faults, histogram);
            for (int i = 0; i < steps; ++i) {
                world->step();
                watch.moved();
            }
            world->drain();
            watch.moved();
        } catch (const std::exception& broken) {
            tell(broken.what());
            return 1;
        }
    }
    if (!options.quiet)
        for (const auto& [key, count] : histogram)
            std::printf(
                "%-28s -> %-18s %lld\n",
                key.first.c_str(),
                key.second.c_str(),
                static_cast<long long>(count)
            );
    if (!options.all) return 0;
    const auto missing = sluice::sim::never_met(histogram);
    for (const auto& what : missing) std::printf("never met: %s\n", what.c_str());
    return missing.empty() ? 0 : 1;
}
