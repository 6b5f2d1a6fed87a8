// `sluice up`: the whole family in the foreground, without systemd.

import ArgumentParser
import Configuration
import Glibc
import Linux
import Service

struct Up: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a broker in the foreground: all its processes, restarted when they die.",
    discussion: """
      Every process is a child of this one, connected to the others through Unix sockets in the \
      runtime directory. Ctrl-C stops them in order; nothing that was acknowledged is lost.

      Configuration is Kafka's server.properties. Without any, the broker listens on 127.0.0.1:9092 \
      and keeps its data under /tmp/kafka-logs, as Kafka does. Port 0 is any free one; the line that \
      says 'ready' names it.

      Examples:
        sluice up --override log.dirs=./data
        sluice up --config server.properties --override num.partitions=3 --frontends 2

      A second broker on this machine needs a port, log.dirs and --runtime-directory of its own.
      A second Ctrl-C kills what has not stopped yet; the next start recovers.
      """)

  @Option(
    help: ArgumentHelp("Kafka's server.properties.", valueName: "FILE"), completion: .file())
  var config: String?

  @Option(
    name: .customLong("override"),
    help: ArgumentHelp("Sets one property, after the file.", valueName: "name=value"),
    completion: .propertyNames(suffix: "="))
  var overrides: [String] = []

  @Option(help: "How many fetchers, the processes that send records to consumers.")
  var fetchers: Int = 2

  @Option(help: "How many frontends, the processes that hold client connections.")
  var frontends: Int = 1

  @Option(help: "How many codecs at most, the processes that open compressed batches.")
  var codecs: Int = 1

  @Option(help: "How many cleaners, the processes that compact logs.")
  var cleaners: Int = 1

  @Option(
    help: ArgumentHelp(
      "Where the sockets between the processes are.", valueName: "DIR"), completion: .directory)
  var runtimeDirectory: String = RuntimeDirectory.standard

  func validate() throws {
    guard (1...64).contains(fetchers) else { throw ValidationError("--fetchers is 1 to 64") }
    guard (1...64).contains(codecs) else { throw ValidationError("--codecs is 1 to 64") }
    guard (1...64).contains(frontends) else { throw ValidationError("--frontends is 1 to 64") }
    guard (0...16).contains(cleaners) else { throw ValidationError("--cleaners is 0 to 16") }
  }

  func run() throws {
    let code: Int32
    do throws(ServiceFailure) { code = try serve() } catch {
      StandardError.line("sluice up: \(error)")
      code = error.exitCode
    }
    if code != 0 { throw ExitCode(code) }
  }

  private func serve() throws(ServiceFailure) -> Int32 {
    let configuration = try BrokerConfiguration.load(path: config, overrides: overrides)
    let directory = try RuntimeDirectory(runtimeDirectory)
    defer { directory.remove() }
    let family = try Family(
      configuration: configuration, arguments: processArguments, directory: directory,
      fetchers: fetchers, frontends: frontends, codecs: codecs,
      cleaners: configuration.logCleanerEnable ? cleaners : 0)
    StandardError.line(
      "sluice up: starting \(family.members.count { !$0.startsOnDemand }) processes, data in \(configuration.logDirs.joined(separator: ", ")), sockets in \(directory.path); Ctrl-C stops"
    )
    return try Supervisor(family: family, directory: directory).run()
  }

  /// What every process of the family is given.
  private var processArguments: [String] {
    var arguments = ["--runtime-directory", runtimeDirectory]
    if let config { arguments += ["--config", config] }
    for override in overrides { arguments += ["--override", override] }
    return arguments
  }
}
