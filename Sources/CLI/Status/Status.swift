// `sluice status`: every process of the family on this machine, as it tells of itself.

import ArgumentParser
import Glibc
import IPC
import Linux
import Service

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the processes of the broker on this machine: pid, uptime, memory, work done.")

  @Option(
    help: ArgumentHelp("Where the sockets between the processes are.", valueName: "DIR"),
    completion: .directory)
  var runtimeDirectory: String = RuntimeDirectory.standard
  @Flag(help: "Print JSON.") var json = false

  func run() throws {
    let processes: [ProcessStatistics]
    do { processes = try StatusQuery(runtimeDirectory).ask(busiest: 0) } catch {
      StandardError.line("sluice status: no broker answers in \(runtimeDirectory): \(error)")
      throw ExitStatus.system.exitCode
    }
    let sorted = processes.sorted {
      ($0.role.rawValue, $0.instance) < ($1.role.rawValue, $1.instance)
    }
    if json {
      Output.json(sorted.map(Self.fields))
    } else {
      Output.table(
        ["process", "pid", "uptime", "memory", "cpu", "work"], sorted.map(Self.row))
    }
  }

  private static func fields(_ process: ProcessStatistics) -> Fields {
    var fields = Fields()
    fields.add("name", process.name)
    fields.add("pid", process.pid)
    fields.add("uptimeSeconds", uptime(process))
    fields.add("residentBytes", process.residentBytes)
    fields.add("cpuMs", process.cpuMicroseconds / 1000)
    var counters = Fields()
    for counter in process.counters { counters.add(counter.name, counter.value) }
    fields.add("counters", .fields(counters))
    return fields
  }

  private static func row(_ process: ProcessStatistics) -> [String] {
    let tenths = process.cpuMicroseconds / 100_000
    return [
      process.name, "\(process.pid)", duration(uptime(process)),
      "\((process.residentBytes + (1 << 19)) >> 20) MB", "\(tenths / 10).\(tenths % 10) s",
      process.counters.map { "\($0.name) \($0.value)" }.joined(separator: ", "),
    ]
  }

  private static func uptime(_ process: ProcessStatistics) -> Int64 {
    max(0, Clock.wallMs() - process.startedMs) / 1000
  }

  private static func duration(_ seconds: Int64) -> String {
    if seconds < 120 { return "\(seconds) s" }
    if seconds < 7200 { return "\(seconds / 60) min" }
    return seconds < 172_800 ? "\(seconds / 3600) h" : "\(seconds / 86_400) d"
  }
}
