// `sluice verify`: every byte of a log directory checked without a broker.

import ArgumentParser
import Linux

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check every byte of a log directory; make anew what is derived.",
    discussion: """
      The directory is one of log.dirs, or one partition in it, of this broker or of Kafka. Checked \
      are: the checksum and the offsets of every batch; the indexes, the producers' snapshots and the \
      leader epochs against the batches; the checkpoints, meta.properties and partition.metadata. \
      --records also decompresses every batch and goes through its records. It may run beside a broker.

      --repair makes anew what follows from the batches: indexes, leader epochs, checkpoints that \
      cannot be read or name offsets that no log has; a snapshot that is wrong is removed, and the \
      batches tell the producers. It wants the broker stopped. Batches are never changed: what is \
      damaged in them is told with its offsets.

      Exit codes: 0 nothing is wrong, or everything was repaired; 1 something is; 64 there is no log \
      in the directory; 111 a file cannot be read.

      Examples:
        sluice verify /var/lib/sluice/log
        sluice verify /var/lib/sluice/log/orders-0 --records
        sluice verify /var/lib/sluice/log --repair
      """)

  @Argument(help: "A log directory, or one partition in it.", completion: .directory)
  var directory: String
  @Flag(help: "Also decompress every batch and go through its records.") var records = false
  @Flag(help: "Make anew what is derived from the batches.") var repair = false
  @Flag(help: "Print JSON, one object a line.") var json = false

  func run() throws {
    let report = VerifyReport(json: json, repairs: repair)
    do throws(VerifyFailure) {
      var check = DirectoryCheck(
        directory, VerifyOptions(readsRecords: records, repairs: repair), report)
      report.finish(try check.run())
    } catch {
      StandardError.line("sluice verify: \(error)")
      throw error.exitStatus.exitCode
    }
    if (repair ? report.lasting : report.defects) > 0 { throw ExitStatus.refused.exitCode }
  }
}
