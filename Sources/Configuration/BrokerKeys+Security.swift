// TLS, SASL and delegation tokens. None is served yet: a listener that needs them is refused, so
// that these settings, which matter only to such listeners, may stand in a file.

extension BrokerKeys {
  static let ssl: [ConfigurationKey] = [
    secure(.list, "ssl.cipher.suites", "", "Cipher suites."),
    .text(
      .string, "ssl.client.auth", "none", .oneOf(["required", "requested", "none"]), .perBroker,
      .accepted(.notServedYet), "Whether clients must have a certificate."),
    secure(.list, "ssl.enabled.protocols", "TLSv1.2,TLSv1.3", "Versions of TLS."),
    secure(.password, "ssl.key.password", nil, "The password of the private key."),
    secure(.string, "ssl.keymanager.algorithm", "SunX509", "An algorithm of Java."),
    secure(.password, "ssl.keystore.certificate.chain", nil, "Certificates, as PEM."),
    secure(.password, "ssl.keystore.key", nil, "The private key, as PEM."),
    secure(.string, "ssl.keystore.location", nil, "The file with key and certificates."),
    secure(.password, "ssl.keystore.password", nil, "The password of that file."),
    secure(.string, "ssl.keystore.type", "JKS", "The kind of that file."),
    secure(.string, "ssl.protocol", "TLSv1.3", "The version of TLS to begin with."),
    secure(.string, "ssl.provider", nil, "A provider of Java."),
    secure(.string, "ssl.trustmanager.algorithm", "PKIX", "An algorithm of Java."),
    secure(.password, "ssl.truststore.certificates", nil, "Trusted certificates, as PEM."),
    secure(.string, "ssl.truststore.location", nil, "The file with trusted certificates."),
    secure(.password, "ssl.truststore.password", nil, "The password of that file."),
    secure(.string, "ssl.truststore.type", "JKS", "The kind of that file."),
    secure(.string, "ssl.endpoint.identification.algorithm", "https", "How names are checked."),
    secure(.class, "ssl.engine.factory.class", nil, "A class that makes TLS engines."),
    secure(.string, "ssl.secure.random.implementation", nil, "A random generator of Java."),
    secure(
      .string, "ssl.principal.mapping.rules", "DEFAULT", .readOnly,
      "How a certificate's name becomes a user's."),
    .boolean(
      "ssl.allow.dn.changes", false, .readOnly, .accepted(.notServedYet),
      "Whether a new certificate may have another name."),
    .boolean(
      "ssl.allow.san.changes", false, .readOnly, .accepted(.notServedYet),
      "Whether a new certificate may have other alternative names."),
    secure(.string, "security.providers", nil, .readOnly, "Security providers of Java."),
    secure(.password, "delegation.token.secret.key", nil, .readOnly, "The key of the tokens."),
    tokens("delegation.token.expiry.time.ms", 86_400_000, "How long a token lasts."),
    tokens("delegation.token.max.lifetime.ms", 604_800_000, "How long a token may be renewed."),
    tokens(
      "delegation.token.expiry.check.interval.ms", 3_600_000, "How often tokens are looked at."),
  ]

  private static func tokens(
    _ name: String, _ value: Int64, _ documentation: String
  ) -> ConfigurationKey {
    .long(name, value, .atLeast(1), .readOnly, .accepted(.notServedYet), documentation)
  }

  static let sasl: [ConfigurationKey] = [
    secure(.list, "sasl.enabled.mechanisms", "GSSAPI", "Mechanisms that clients may use."),
    secure(.password, "sasl.jaas.config", nil, "The login module and its options."),
    secure(
      .string, "sasl.mechanism.inter.broker.protocol", "GSSAPI", "The mechanism among brokers."),
    secure(
      .string, "sasl.mechanism.controller.protocol", "GSSAPI", .readOnly,
      "The mechanism with controllers."),
    secure(
      .class, "sasl.client.callback.handler.class", nil, .readOnly, "A class for clients."),
    secure(
      .class, "sasl.server.callback.handler.class", nil, .readOnly, "A class for the broker."),
    secure(.class, "sasl.login.callback.handler.class", nil, .readOnly, "A class for logins."),
    secure(.class, "sasl.login.class", nil, .readOnly, "A class that logs in."),
    secure(
      .int, "sasl.server.max.receive.size", "524288", .readOnly,
      "The longest request before authentication."),
    secure(.string, "sasl.kerberos.kinit.cmd", "/usr/bin/kinit", "The path of kinit."),
    secure(
      .long, "sasl.kerberos.min.time.before.relogin", "60000", "Pause between Kerberos logins."),
    secure(
      .list, "sasl.kerberos.principal.to.local.rules", "DEFAULT",
      "How a Kerberos name becomes a user's."),
    secure(.string, "sasl.kerberos.service.name", nil, "The broker's Kerberos name."),
    secure(.double, "sasl.kerberos.ticket.renew.jitter", "0.05", "How much renewals vary."),
    secure(
      .double, "sasl.kerberos.ticket.renew.window.factor", "0.8", "When tickets are renewed."),
    secure(
      .short, "sasl.login.refresh.buffer.seconds", "300", "Time left when a login is renewed."),
    secure(.short, "sasl.login.refresh.min.period.seconds", "60", "Time between renewals."),
    secure(.double, "sasl.login.refresh.window.factor", "0.8", "When a login is renewed."),
    secure(.double, "sasl.login.refresh.window.jitter", "0.05", "How much renewals vary."),
    secure(.int, "sasl.login.connect.timeout.ms", nil, .readOnly, "Timeout of the connection."),
    secure(.int, "sasl.login.read.timeout.ms", nil, .readOnly, "Timeout of the answer."),
    secure(.long, "sasl.login.retry.backoff.ms", "100", .readOnly, "Pause between logins."),
    secure(
      .long, "sasl.login.retry.backoff.max.ms", "10000", .readOnly, "The longest such pause."),
  ]

  static let oauth: [ConfigurationKey] = [
    oauth(.string, "assertion.algorithm", "RS256", "How an assertion is signed."),
    oauth(.string, "assertion.claim.aud", nil, "The audience of an assertion."),
    oauth(.int, "assertion.claim.exp.seconds", "300", "How long an assertion lasts."),
    oauth(.string, "assertion.claim.iss", nil, "The issuer of an assertion."),
    oauth(.boolean, "assertion.claim.jti.include", "false", "Whether an assertion has an id."),
    oauth(.int, "assertion.claim.nbf.seconds", "60", "How far back an assertion reaches."),
    oauth(.string, "assertion.claim.sub", nil, "The subject of an assertion."),
    oauth(.string, "assertion.file", nil, "A file with an assertion."),
    oauth(.string, "assertion.private.key.file", nil, "The key that signs assertions."),
    oauth(.password, "assertion.private.key.passphrase", nil, "The password of that key."),
    oauth(.string, "assertion.template.file", nil, "A file with parts of an assertion."),
    oauth(.string, "client.credentials.client.id", nil, "The client's id."),
    oauth(.password, "client.credentials.client.secret", nil, "The client's secret."),
    oauth(.int, "clock.skew.seconds", "30", "How much clocks may differ."),
    oauth(.list, "expected.audience", nil, "Audiences that are accepted."),
    oauth(.string, "expected.issuer", nil, "The issuer that is accepted."),
    oauth(.string, "jwks.endpoint.url", nil, "Where the provider's keys are."),
    oauth(.long, "jwks.endpoint.refresh.ms", "3600000", "How often they are fetched."),
    oauth(.long, "jwks.endpoint.retry.backoff.ms", "100", "Pause after a failed fetch."),
    oauth(.long, "jwks.endpoint.retry.backoff.max.ms", "10000", "The longest such pause."),
    oauth(
      .class, "jwt.retriever.class",
      "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
      "The class that gets tokens."),
    oauth(
      .class, "jwt.validator.class",
      "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
      "The class that checks tokens."),
    oauth(.string, "scope", nil, "The scope to ask for."),
    oauth(.string, "scope.claim.name", "scope", "The claim with the scope."),
    oauth(.string, "sub.claim.name", "sub", "The claim with the user."),
    oauth(.string, "token.endpoint.url", nil, "Where tokens are got."),
  ]

  private static func oauth(
    _ type: ConfigurationType, _ name: String, _ value: String?, _ documentation: String
  ) -> ConfigurationKey {
    secure(type, "sasl.oauthbearer.\(name)", value, .readOnly, documentation)
  }

  private static func secure(
    _ type: ConfigurationType, _ name: String, _ value: String?, _ documentation: String
  ) -> ConfigurationKey {
    secure(type, name, value, .perBroker, documentation)
  }

  private static func secure(
    _ type: ConfigurationType, _ name: String, _ value: String?, _ mode: UpdateMode,
    _ documentation: String
  ) -> ConfigurationKey {
    .text(type, name, value, .any, mode, .accepted(.notServedYet), documentation)
  }
}
