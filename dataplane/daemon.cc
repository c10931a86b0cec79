#include "dataplane/daemon.h"

#include <fmt/format.h>
#include <rte_launch.h>
#include <rte_rcu_qsbr.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <system_error>

#include "control/settings/socket_access.h"
#include "control/shm/server.h"
#include "crypto/known_answer_test.h"
#include "dataplane/audit_log.h"
#include "dataplane/buffers.h"
#include "dataplane/controller.h"
#include "dataplane/eal.h"
#include "dataplane/pipeline_options.h"
#include "dataplane/port_pairs.h"
#include "dataplane/sa_memory_place.h"
#include "dataplane/screen_control.h"
#include "dataplane/unmap_guard.h"
#include "dataplane/version.h"
#include "dataplane/worker.h"

namespace gmesp::dataplane {
namespace {

/// R-D-K3: no packet is touched by an engine that gives a wrong answer.
void require_known_answers() {
  const auto failures = crypto::known_answer_test();
  if (failures.empty()) return;
  std::string text = "known-answer test failed, gmespd does not run:";
  for (const auto& failure : failures)
    text += fmt::format(" [{} {}: {}]", failure.engine, failure.suite, failure.detail);
  throw std::runtime_error(text);
}

/// Reader-side state of the SA database's grace periods, in the aligned memory that rte_rcu_qsbr
/// wants.
class Readers {
 public:
  explicit Readers(uint32_t workers) {
    const size_t bytes = rte_rcu_qsbr_get_memsize(workers);
    constexpr size_t kLine = 128;
    memory_ =
        static_cast<rte_rcu_qsbr*>(std::aligned_alloc(kLine, (bytes + kLine - 1) / kLine * kLine));
    if (memory_ == nullptr || rte_rcu_qsbr_init(memory_, workers) != 0)
      throw std::runtime_error("no memory for the workers' quiescent states");
  }
  ~Readers() { std::free(memory_); }
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;
  rte_rcu_qsbr* get() const { return memory_; }

 private:
  rte_rcu_qsbr* memory_ = nullptr;
};

/// SIGINT and SIGTERM as a readable descriptor; every thread made later inherits the blocked mask.
class StopSignal {
 public:
  StopSignal() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    descriptor_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
  }
  ~StopSignal() { close(descriptor_); }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

int run_worker(void* worker) {
  static_cast<Worker*>(worker)->run();
  return 0;
}

/// Running workers; stops and joins them whatever happens.
class WorkerThreads {
 public:
  WorkerThreads(const Eal& eal, std::span<const std::unique_ptr<Worker>> workers)
      : workers_(workers) {
    for (uint32_t i = 0; i < workers.size(); ++i)
      if (rte_eal_remote_launch(run_worker, workers[i].get(), eal.worker_lcore(i)) != 0)
        throw std::runtime_error(fmt::format("workers: core of worker {} is busy", i));
  }
  ~WorkerThreads() {
    for (const auto& worker : workers_) worker->stop();
    rte_eal_mp_wait_lcore();
    for (const auto& worker : workers_) worker->drain();
  }
  WorkerThreads(const WorkerThreads&) = delete;
  WorkerThreads& operator=(const WorkerThreads&) = delete;

 private:
  std::span<const std::unique_ptr<Worker>> workers_;
};

/// The control thread's life: commands, housekeeping, until a signal comes.
void control_loop(Controller& controller, shm::Server& server, const StopSignal& stop) {
  constexpr int kQuietMs = 10;
  constexpr int kGraceMs = 1;
  bool is_over = false;
  server.watch(stop.descriptor(), [&] { is_over = true; });
  bool waits_for_grace = false;
  while (!is_over) {
    server.poll(waits_for_grace ? kGraceMs : kQuietMs);
    waits_for_grace = controller.tick(boottime_ms());
  }
}

ipsec::SaDatabaseOptions database_options(const Config& config, const std::string& memory_path) {
  ipsec::SaDatabaseOptions options;
  options.capacity_sets = config.sa.capacity_sets;
  options.window_packets = config.sa.replay_window_packets;
  options.memory_path = memory_path;
  options.protected_ports = protected_ports(config);
  options.restore = config.sa.restore;
  options.keep_raw_keys = config.sa.key_export;
  options.now_ms = boottime_ms();
  return options;
}

/// What became of the sets that a dead process left (R-D-A2).
void log_restoration(const ipsec::SaDatabase& database, const std::string& path) {
  const ipsec::SaMemory& memory = database.memory();
  const ipsec::Restoration& sets = database.restoration();
  if (!memory.wiped_because().empty())
    spdlog::warn("SA memory {}: what a dead gmespd left is wiped, because {}", path,
                 memory.wiped_because());
  if (!memory.is_adopted()) return;
  spdlog::info("SA memory {}: {} SA sets restored after the death of a former gmespd", path,
               sets.restored);
  if (sets.lost() != 0)
    spdlog::warn(
        "SA memory {}: {} SA sets not restored and wiped: {} expired, {} unfinished, {} "
        "damaged, {} not allowed now, {} near the end of their sequence numbers",
        path, sets.lost(), sets.expired, sets.unfinished, sets.damaged, sets.refused,
        sets.exhausted);
  for (const std::string& detail : sets.details) spdlog::warn("not restored: {}", detail);
}

shm::ServerOptions server_options(const Config& config) {
  shm::ServerOptions options;
  options.socket_path = config.control.socket;
  options.socket_mode =
      settings::socket_permissions(config.control.socket_mode, config.control.allowed_uids);
  options.allowed_uids = config.control.allowed_uids;
  options.connections_max = config.control.connections_max;
  return options;
}

void withdraw_configured(const Config& config, ipsec::SaDatabase& database) {
  for (const crypto::Integrity integrity : config.crypto.withdrawn_integrity)
    database.withdraw(static_cast<uint8_t>(integrity), 0);
  for (const crypto::Cipher cipher : config.crypto.withdrawn_cipher)
    database.withdraw(0, static_cast<uint8_t>(cipher));
}

HandoffMatrix make_handoffs(uint32_t workers) {
  HandoffMatrix matrix;
  for (uint32_t i = 0; i < workers * workers; ++i)
    matrix.push_back(std::make_unique<ipsec::HandoffRing>());
  return matrix;
}

}  // namespace

int run(const Config& config) {
  require_known_answers();
  const StopSignal stop;
  const EalPlan plan = plan_eal(config, inspect_machine());
  for (const std::string& lost : plan.lost) spdlog::warn("{}", lost);
  const SaMemoryPlace sa_memory = place_sa_memory(config, plan, find_memory_folders());
  if (!sa_memory.lost.empty()) spdlog::warn("{}", sa_memory.lost);
  const Eal eal(plan);
  const auto workers = static_cast<uint32_t>(plan.worker_cores.size());

  ipsec::SaDatabase database(database_options(config, sa_memory.path));
  spdlog::info("SA memory: {}", sa_memory.path.empty() ? "no file" : sa_memory.path);
  log_restoration(database, sa_memory.path);
  withdraw_configured(config, database);
  if (const std::string& failure = database.memory().lock_failure(); !failure.empty())
    spdlog::warn("keys may be swapped out: {}", failure);
  if (config.sa.key_export)
    spdlog::warn("[sa] key_export is true: root and user {} may have the keys of live sets",
                 geteuid());
  AuditLog audit_log(config.log, config.instance.name);
  // The Ethernet header, two VLAN tags, and what AF_PACKET rounds its slots up to.
  constexpr uint32_t kBeyondMtuBytes = 22 + 16;
  Buffers buffers(config.memory.packet_buffers, largest_mtu_bytes(config) + kBeyondMtuBytes,
                  kLargeBuffers, config.fragments.datagram_bytes_max);
  const PortPairs pairs(config, workers, buffers);
  const Readers readers(workers);
  const UnmapGuard guard(readers.get());
  ScreenControl screen(config, workers, readers.get());
  HandoffMatrix handoffs = make_handoffs(workers);
  std::vector<std::unique_ptr<Worker>> worker_list;
  for (uint32_t i = 0; i < workers; ++i)
    worker_list.push_back(std::make_unique<Worker>(config, i, workers, pairs.queues_of(i), database,
                                                   screen.rules(), buffers, handoffs,
                                                   readers.get()));

  ControllerOptions options;
  options.path_mtu_age_s = config.path_mtu.age_s;
  options.access_mtu_bytes = largest_mtu_bytes(config);
  options.engine = worker_list[0]->pipeline(0).engine().describe();
  options.version = kVersion;
  Controller controller(options, database, readers.get(), worker_list, pairs.ports(), screen,
                        audit_log);
  shm::Server server(server_options(config), controller);
  controller.attach(server);
  {
    const WorkerThreads threads(eal, worker_list);
    spdlog::info("gmespd {} runs: {} worker(s), room for {} SA sets, control socket {}, engine {}",
                 kVersion, workers, config.sa.capacity_sets, config.control.socket, options.engine);
    control_loop(controller, server, stop);
    spdlog::info("stopping");
  }
  return EXIT_SUCCESS;
}

}  // namespace gmesp::dataplane
