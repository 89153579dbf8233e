/**
 * The federation server: rounds, staged updates, aggregation rules, journal. {@link isthmus.server.FederationServer} is
 * the way in; an {@link isthmus.server.Aggregator} is the way to a new rule.
 */
package isthmus.server;
