/**
 * A site's side of the federation: connects outwards, trains on its own data when the server asks, sends the difference.
 * It knows no model, only a {@link isthmus.client.LocalTrainer}.
 */
package isthmus.client;
