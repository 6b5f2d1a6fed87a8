// Options that several commands share.

import ArgumentParser

/// Where to reach the cluster.
struct BrokerOptions: ParsableArguments {
  @Option(
    name: [.customLong("bootstrap-server"), .customShort("b")],
    help: ArgumentHelp(
      "A broker of the cluster; several separated by commas. The port is 9092 if none is given.",
      valueName: "HOST:PORT"))
  var bootstrapServer = Self.bootstrapDefault

  static let bootstrapDefault = "127.0.0.1:9092"

  func cluster(_ interruption: Interruption? = nil) -> Cluster {
    Cluster(bootstrap: bootstrapServer, interruption: interruption)
  }
}
