// `sluice`: the command of the operator and of anyone who tries the broker out.

import ArgumentParser

@main
struct Sluice: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "A Kafka broker made of small processes, and the tools to use it.",
    discussion: """
      Start a broker here, with data under ./data:      sluice up --override log.dirs=./data
      Send it lines and read them back:                 sluice produce greetings < lines.txt
                                                        sluice consume greetings --from-beginning
      """,
    subcommands: [
      Up.self, Topics.self, Produce.self, Consume.self, Status.self,
    ])
}
