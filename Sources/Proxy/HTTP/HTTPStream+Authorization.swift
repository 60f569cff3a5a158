import ProxyModel

extension HTTPStream {
    /// Goes on with `next` if the chain's filters let the request through.
    func authorize(
        _ request: HTTPRequest, _ steps: ArraySlice<ChainAuthorization.HTTPStep>, shadowPolicy: String?,
        next: @escaping (HTTPRequest) -> Void
    ) {
        guard let step = steps.first else { return next(request) }
        switch step {
        case .rbac(let rbac):
            let subject = AuthorizationSubject(connection.downstream, request: request)
            let counters = worker.rbacCounters("http.\(manager.statPrefix).", rbac.shadowRulesStatPrefix)
            let (denial, policy) = rbac.check(subject, counters)
            guard let denial else {
                return authorize(request, steps.dropFirst(), shadowPolicy: policy ?? shadowPolicy, next: next)
            }
            if let origin = denial.origin { record.origin = origin }
            noteCluster()
            reply(.accessDenied(denial.details))
        case .external(let filter):
            guard shadowPolicy?.hasPrefix(filter.model.policyPrefix) == true else {
                return authorize(request, steps.dropFirst(), shadowPolicy: shadowPolicy, next: next)
            }
            ask(filter, about: request) { request in
                self.authorize(request, steps.dropFirst(), shadowPolicy: shadowPolicy, next: next)
                self.flushUpstream()
            }
        }
    }

    /// Has an external authorizer decide; the body waits meanwhile.
    private func ask(
        _ filter: CompiledExternalAuthorization, about request: HTTPRequest, next: @escaping (HTTPRequest) -> Void
    ) {
        let counters = ExternalAuthorizationCounters(
            worker.statistics, prefix: "http.\(manager.statPrefix).")
        let query = AuthorizationQuery(filter, connection) { answer in
            guard !self.isFinished else { return }
            switch answer {
            case .allowed(let upstream, let client):
                counters.ok.add()
                var request = request
                for field in upstream { request.head.fields.set(field.name, field.value) }
                self.responseFields = client
                next(request)
            case .failedOpen:
                counters.error.add()
                counters.failureModeAllowed.add()
                next(request)
            case .denied(let reply):
                (reply.details == "ext_authz_error" ? counters.error : counters.denied).add()
                if let origin = filter.model.origin { self.record.origin = origin }
                self.noteCluster()
                self.reply(reply)
                self.connection.flush()
            }
        }
        guard let cluster = worker.clusters[filter.model.cluster],
            case .forward(let action) = filter.route.model.action
        else {
            query.streamEnded(keepAlive: false, broken: true)
            return
        }
        let context = HeaderRewriting.RequestContext(
            manager: manager, virtualHost: VirtualHost(name: "", domains: [], routes: []), route: filter.route,
            action: action, cluster: WeightedCluster(name: filter.model.cluster), timeoutMs: filter.model.timeoutMs)
        let stream = HTTPStream(connection: query, worker: worker, manager: manager, isShadow: true)
        stream.startShadow(
            query.head(for: request, from: worker.snapshot?.model.node), body: [], context: context, cluster: cluster)
    }
}
