//! What answers a request about a kind, or about a subresource, that is no reading or writing of an object in the store. Which kind has
//! which stands in the kind's row; how it is done is the server's.

/// An action, or a view that is made for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `scale`: how many replicas there are and shall be, as a `Scale` of `autoscaling/v1`.
    Scale(ScaleSelector),
    /// `pods/binding` and `bindings`: a pod is given its node.
    Bind,
    /// `pods/eviction`: a pod goes, where a disruption budget lets it.
    Evict,
    /// `serviceaccounts/token`: a token is signed.
    IssueToken,
    /// `pods/log`: read from the node, and no connection to admission.
    Log,
    /// What goes on to a node, a pod or a service; admission is asked with the options of the connection.
    Connect(Connection),
    /// A question to authentication or authorization, asked as an object that is answered and not stored.
    Review(Review),
    /// The state of the components beside the server, asked for at each request.
    ComponentStatuses,
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// `exec`, `attach`: to one container of a pod, which has to be named where there are several.
    Container,
    /// `portforward`: to the ports of a pod.
    PodPorts,
    /// `pods/proxy`.
    PodProxy,
    /// `services/proxy`.
    ServiceProxy,
    /// `nodes/proxy`.
    NodeProxy,
}

/// What a review asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// Whose token is this?
    Token,
    /// Who am I?
    SelfSubject,
    /// What may I do in a namespace?
    SelfSubjectRules,
    /// May this user do that?
    SubjectAccess,
    /// May this user do that in this namespace?
    LocalSubjectAccess,
    /// May I do that?
    SelfSubjectAccess,
}

/// How `spec.selector` of a kind that scales is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleSelector {
    /// A `LabelSelector`.
    Expressions,
    /// A plain set of labels, as ReplicationControllers have it.
    Labels,
}
