// `sluice`: the command of the operator and of anyone who tries the broker out.

import ArgumentParser
import Glibc
import Service

@main
enum Main {
  static func main() {
    // A reader that goes away is noticed where it is written to.
    signal(SIGPIPE, SIG_IGN)
    Sluice.main()
  }
}

struct Sluice: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "A Kafka broker made of small processes, and the tools to use it.",
    discussion: """
      Start a broker here, with data under ./data:
        sluice up --override log.dirs=./data
      Send it lines, and read them back:
        sluice produce greetings < lines.txt
        sluice consume greetings --from-beginning

      Exit codes: 0 done, 1 the broker refused or a file is damaged, 64 wrong command line, 100 \
      wrong configuration, 111 the system refused (a file cannot be read, a broker cannot be reached).
      """,
    version: "sluice \(Version.text)",
    subcommands: [
      Up.self, Topics.self, Configs.self, Produce.self, Consume.self, Status.self, Top.self,
      Dump.self, Verify.self,
      PropertiesCommand.self,
    ])
}
