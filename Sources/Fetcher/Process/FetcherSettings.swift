// What a fetcher needs to know of its surroundings.

import Configuration
import IPC
import Model
import Service

struct FetcherSettings {
  var instance: UInt32
  var logwriterPath: String
  var coordinatorPath: String
  /// Descriptors the process may have.
  var descriptorsMax: Int
  /// `fetch.max.bytes`: the most that one response carries, but for one batch.
  var fetchMaxBytes: Int
  /// `max.incremental.fetch.session.cache.slots`.
  var sessionsMax: Int
  /// Who may connect.
  var peers = PeerPolicy()

  init(
    instance: UInt32, logwriterPath: String, coordinatorPath: String, descriptorsMax: Int,
    fetchMaxBytes: Int, sessionsMax: Int
  ) {
    self.instance = instance
    self.logwriterPath = logwriterPath
    self.coordinatorPath = coordinatorPath
    self.descriptorsMax = descriptorsMax
    self.fetchMaxBytes = fetchMaxBytes
    self.sessionsMax = sessionsMax
  }

  init(_ context: ServiceContext) {
    self.init(
      instance: context.instance,
      logwriterPath: context.socketPath(SocketName.logwriter),
      coordinatorPath: context.socketPath(SocketName.coordinator),
      descriptorsMax: context.descriptorsMax,
      fetchMaxBytes: context.configuration.fetchMaxBytes,
      sessionsMax: context.configuration.maxIncrementalFetchSessionCacheSlots)
    peers = context.peers
  }

  /// What a fetcher tells of itself at its start.
  var capacity: String {
    "\(clientsMax) clients from \(segmentDescriptorsMax) open files of the log"
  }

  /// A quarter is for segments, the rest for clients.
  var segmentDescriptorsMax: Int { max(16, descriptorsMax / 4) }

  /// What is left, less some for links and for descriptors on their way.
  var clientsMax: Int { max(16, descriptorsMax - segmentDescriptorsMax - 512) }
}

/// How the process speaks to its supervisor.
struct FetcherReports {
  var ready: () -> Void
  var stopping: () -> Void
  var statistics: ([ProcessStatistics.Counter]) -> ProcessStatistics
  var upkeep: Upkeep?
  /// Reads the configuration again; what changes comes back to `FetcherProcess.apply`.
  var reload: (FetcherProcess) -> Void
  /// Takes over what was set for the broker at run time, in the same way.
  var configure: (FetcherProcess, DynamicBrokerConfigs) -> Void = { _, _ in }

  init(
    ready: @escaping () -> Void, stopping: @escaping () -> Void,
    statistics: @escaping ([ProcessStatistics.Counter]) -> ProcessStatistics,
    upkeep: Upkeep? = nil, reload: @escaping (FetcherProcess) -> Void = { _ in }
  ) {
    self.ready = ready
    self.stopping = stopping
    self.statistics = statistics
    self.upkeep = upkeep
    self.reload = reload
  }

  init(_ context: ServiceContext) {
    self.init(
      ready: { context.notifyReady(status: "serving fetches") },
      stopping: { context.notifyStopping() },
      statistics: { context.statistics($0) }, upkeep: context.upkeep,
      reload: { process in context.reload { process.apply($0) } })
    configure = { process, dynamic in context.configure(dynamic) { process.apply($0) } }
  }
}
