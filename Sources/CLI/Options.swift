// Options that several commands share, and how a failure becomes an exit code.

import ArgumentParser

/// Where to reach the cluster.
struct BrokerOptions: ParsableArguments {
  @Option(
    name: [.customLong("bootstrap-server"), .customShort("b")],
    help: ArgumentHelp(
      "A broker of the cluster; several separated by commas.", valueName: "HOST:PORT"))
  var bootstrapServer = "127.0.0.1:9092"

  func cluster() -> Cluster { Cluster(bootstrap: bootstrapServer) }
}

enum Command {
  /// Runs the body of a command: a failure is one line on standard error and exit code 1.
  static func run(_ body: () throws(ClientError) -> Void) throws {
    do { try body() } catch {
      StandardError.line("sluice: \(error)")
      throw ExitCode(1)
    }
  }
}
