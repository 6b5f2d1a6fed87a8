// The exit codes of every command of `sluice`, and how a failure becomes one line and a code.

import ArgumentParser
import Glibc
import Linux

/// How a command ends. README.md and `sluice --help` list them.
enum ExitStatus: Int32 {
  /// The broker refused, or the file is damaged.
  case refused = 1
  /// The command line is wrong (sysexits(3), as ArgumentParser has it).
  case usage = 64
  /// The configuration is wrong.
  case configuration = 100
  /// The system refused: a file cannot be read, a broker cannot be reached.
  case system = 111

  var exitCode: ExitCode { ExitCode(rawValue) }
}

enum Command {
  /// Runs the body of a command: a failure is one line on standard error and its exit code.
  static func run(_ body: () throws(ClientError) -> Void) throws {
    do { try body() } catch {
      StandardError.line("sluice: \(error)")
      throw error.exitStatus.exitCode
    }
  }
}
