// sluice-coordinator: everything that is neither Produce nor Fetch. It decides which topics there
// are, keeps groups and their offsets, and tells frontends and fetchers where partitions lie.

import Configuration
import IPC
import Linux
import Logging
import Model
import Service

@main
enum Main {
  static func main() {
    ServiceMain.run(.coordinator) { context throws(ServiceFailure) in
      let configuration = context.configuration
      let metadata: MetadataLog
      do throws(StoreError) {
        let store = try SQLiteStore(directory: configuration.metadataLogDir)
        metadata = try MetadataLog(store)
        try register(configuration, metadata)
      } catch { throw .system("\(error)") }
      if let notice = configuration.notice { context.log.notice("\(notice)") }
      let process = try CoordinatorProcess(context, metadata: metadata)
      context.tellCapacity("any number of topics and groups, which need no descriptors")
      try process.run()
    }
  }

  /// Makes this broker known.
  private static func register(
    _ configuration: BrokerConfiguration, _ metadata: MetadataLog
  ) throws(StoreError) {
    var failure: StoreError?
    metadata.commit([.brokerUp(configuration.nodeId)]) { failure = $0 }
    if let failure { throw failure }
  }
}
